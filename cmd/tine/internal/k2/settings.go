package k2

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/control/api"
)

// mostSettings is far above any such file that a person wrote, in bytes.
const mostSettings = 4 << 20

// settings are what a file says of the load balancer.
type settings struct {
	servers        []server
	multipliers    []multiplier
	requestTimeout time.Duration // 0: not said
	validTimeout   time.Duration // likewise
	history        int
	continuous     bool

	notes []string
}

// server is one application server.
type server struct{ host, pipe string }

// multiplier is the weight of one statistic.
type multiplier struct {
	uid   string
	value float64
}

// statistic is one that K2 has.
type statistic struct {
	uid  string
	stat members.Stat // that it is here
}

// statistics are all of K2's. One has two spellings: K2's documentation and its servers differ.
var statistics = []statistic{
	{"bscSystemCPUAvg", "cpu_used"},
	{"bscSystemFreeMemory", members.MemoryFree},
	{"bscAppPoolSpandAvg", members.QueueWait},
	{"bscAppPoolSpanAvg", members.QueueWait},
	{"bscAppNCLSessions", members.Sessions},
	{"bscAppAnonymousSessions", members.AnonymousSessions},
	{"bscAppSchedulerSessions", members.SchedulerSessions},
}

// fault is what is wrong in the file, and where.
type fault struct {
	line int
	text string
}

func (f *fault) Error() string { return fmt.Sprintf("line %d: %s", f.line, f.text) }

func faultf(line int, format string, args ...any) error {
	return &fault{line, fmt.Sprintf(format, args...)}
}

// Options say what K2's settings do not have.
type Options struct {
	Port int    // at which the servers serve HTTP; 0: 80
	URL  string // where a server tells its statistics; "": http://{address}/statistics
}

// Import makes a config of the settings at path. notes say what is to be checked.
func Import(path string, o Options) (yaml []byte, notes []string, err error) {
	fail := func(err error) ([]byte, []string, error) {
		return nil, nil, fmt.Errorf("cannot import %s: %w", path, err)
	}
	if o.Port < 0 || o.Port > math.MaxUint16 {
		return fail(fmt.Errorf("%d is not a port: write 1 to %d", o.Port, math.MaxUint16))
	}
	o.Port, o.URL = cmp.Or(o.Port, 80), cmp.Or(o.URL, "http://{address}/statistics")
	if err := (&members.Question{URL: o.URL}).Check(); err != nil {
		return fail(err)
	}
	text, err := config.ReadRegular(path, "settings of K2", mostSettings)
	if err != nil {
		return fail(err)
	}
	var s settings
	switch body := strings.TrimLeft(strings.TrimPrefix(string(text), "\ufeff"), " \t\r\n"); {
	case body == "":
		err = errors.New("it is empty")
	case body[0] == '<':
		err = s.readXML(string(text))
	case body[0] == '{' || body[0] == '[':
		err = s.readJSON(string(text))
	default:
		err = errors.New("it is neither XML nor JSON")
	}
	if err != nil {
		return fail(err)
	}
	return s.config(filepath.Base(path), o), s.notes, nil
}

func (s *settings) note(format string, args ...any) {
	s.notes = append(s.notes, fmt.Sprintf(format, args...))
}

// addServer takes in a server: "." is this machine.
func (s *settings) addServer(line int, host, pipe string) error {
	switch host = strings.TrimSpace(host); {
	case host == "":
		return faultf(line, "a server has no name: write server=\"NAME\", or \".\" for this machine")
	case strings.ContainsAny(host, " /\\\"'{}$"):
		return faultf(line, "%q is not the name or the address of a machine", host)
	case host == ".":
		host = "127.0.0.1"
	}
	s.servers = append(s.servers, server{host, pipe})
	return nil
}

// addMultiplier takes in the weight of a statistic. The last one of a statistic counts.
func (s *settings) addMultiplier(line int, uid, value string) error {
	known := false
	var words []string
	for _, k := range statistics {
		words = append(words, k.uid)
		if strings.EqualFold(k.uid, uid) {
			uid, known = k.uid, true
		}
	}
	if !known {
		if near := api.Nearest(uid, words); near != "" {
			return faultf(line, "K2 has no statistic %q: did you mean %s?", uid, near)
		}
		return faultf(line, "K2 has no statistic %q: there are %s", uid, strings.Join(words, ", "))
	}
	v, err := strconv.ParseFloat(strings.Replace(strings.TrimSpace(value), ",", ".", 1), 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return faultf(line, "the multiplier of %s is %q, and a number is expected", uid, value)
	}
	s.multipliers = append(s.multipliers, multiplier{uid, v})
	return nil
}

// set takes in a parameter; false: there is none of that name.
func (s *settings) set(line int, name, value string) (known bool, err error) {
	switch value = strings.TrimSpace(value); strings.ToLower(name) {
	case "requesttimeout":
		s.requestTimeout, err = duration(value)
	case "validtimeout":
		s.validTimeout, err = duration(value)
	case "maxhistorycount":
		s.history, err = strconv.Atoi(value)
		if err != nil || s.history < 0 {
			err = fmt.Errorf("%q is not a count", value)
		}
	case "preloadingenabled":
		s.continuous, err = strconv.ParseBool(strings.ToLower(value))
		if err != nil {
			err = fmt.Errorf("%q is neither true nor false", value)
		}
	default:
		return false, nil
	}
	if err != nil {
		err = faultf(line, "%s: %v", name, err)
	}
	return true, err
}

// duration reads 1s, 1000ms, or 1000, which is in milliseconds: K2's documentation has both.
func duration(text string) (time.Duration, error) {
	if n, err := strconv.ParseFloat(text, 64); err == nil {
		text = strconv.FormatFloat(n, 'f', -1, 64) + "ms"
	}
	d, err := time.ParseDuration(strings.ReplaceAll(text, " ", ""))
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is not a duration: write 1s, 1000ms, or 1000 for milliseconds", text)
	}
	return d, nil
}
