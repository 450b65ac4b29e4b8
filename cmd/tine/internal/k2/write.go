package k2

import (
	"bytes"
	"cmp"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/ipc/policy"
)

// config writes the result.
func (s *settings) config(file string, o Options) []byte {
	var b bytes.Buffer
	line := func(indent int, format string, args ...any) {
		fmt.Fprintf(&b, strings.Repeat("  ", indent)+format+"\n", args...)
	}
	line(0, "# Made of %s by tine config import k2. Check it with tine config check.", strconv.QuoteToASCII(file))
	line(0, "apps:")
	line(1, "gate:")
	line(2, `listen: ":8080"`)
	line(2, "gateway:")
	line(3, "members:")
	for _, m := range s.members(o.Port) {
		line(4, "%s: %s", quote(m[0]), quote(m[1]))
	}
	line(3, "pick: score")
	raw, weights := s.weights()
	line(3, "score:")
	if raw {
		line(4, "raw: true")
	}
	line(4, "multipliers: {%s}", strings.Join(weights, ", "))
	line(3, "evaluate:")
	if s.continuous {
		line(4, "mode: continuous")
	} else {
		line(4, "mode: on-request")
	}
	line(4, "url: %s", quote(o.URL))
	line(4, "stats:")
	for _, k := range s.asked() {
		line(5, "%s: %s", k.stat, k.uid)
	}
	line(4, "request_timeout: %s", bounded(s, "requestTimeout", cmp.Or(s.requestTimeout, time.Second)))
	switch {
	case s.continuous:
		line(4, "valid_timeout: %s", bounded(s, "validTimeout", cmp.Or(s.validTimeout, time.Second)))
	case s.validTimeout > 0:
		line(4, "valid_timeout: %s", bounded(s, "validTimeout", s.validTimeout))
	}
	if s.history > policy.MostHistory {
		s.note("maxHistoryCount: %d is more than a worker remembers: it is %d", s.history, policy.MostHistory)
	}
	if s.history > 0 {
		line(3, "history: %d", min(s.history, policy.MostHistory))
	}
	s.note("members: K2 reaches a server by a named pipe, and Tine by HTTP: check that each serves HTTP at port %d, or name another one by --port", o.Port)
	s.note("evaluate: a server is asked by GET %s, and answers JSON with the statistics by K2's names: check it, or name another one by --url", o.URL)
	return b.Bytes()
}

// bounded keeps a time within what a config takes.
func bounded(s *settings, name string, d time.Duration) time.Duration {
	within := min(max(d, policy.MinEvaluate), policy.MaxEvaluate)
	if within != d {
		s.note("%s: %s is out of range: it is %s", name, d, within)
	}
	return within
}

// members are the IDs of the servers and their addresses.
func (s *settings) members(port int) (all [][2]string) {
	if len(s.servers) == 0 {
		s.note("appServers: there is none: it is this machine, as in K2's own default")
		s.servers = []server{{host: "127.0.0.1"}}
	}
	for i, m := range s.servers {
		address := m.host
		if _, _, err := net.SplitHostPort(address); err != nil {
			address = net.JoinHostPort(strings.Trim(address, "[]"), strconv.Itoa(port))
		}
		id := address
		if slices.ContainsFunc(s.servers, func(o server) bool { return o.host == m.host && o != m }) {
			id = m.host + "/" + m.pipe
			s.note("members: %s has the same address as another one: K2 tells them apart by their pipes; write the port of each", id)
		}
		if slices.Contains(s.servers[:i], m) {
			s.note("appServers: %s is there twice", id)
			continue
		}
		all = append(all, [2]string{id, address})
	}
	return all
}

// weights are the multipliers as a config has them. raw: they are for sums of the statistics as they are.
func (s *settings) weights() (raw bool, all []string) {
	raw = slices.ContainsFunc(s.multipliers, func(m multiplier) bool { return m.value < 0 })
	some := false
	for _, k := range s.asked() {
		for _, m := range slices.Backward(s.multipliers) {
			if statOf(m.uid) == k.stat {
				some = some || m.value != 0
				all = append(all, fmt.Sprintf("%s: %s", k.stat, strconv.FormatFloat(m.value, 'f', -1, 64)))
				break
			}
		}
	}
	switch {
	case !some:
		s.note("multiplier: none is above 0, and K2 has no default: all servers are as good, and requests are spread by their number")
	case raw:
		s.note("multiplier: one is below 0, which is for sums of the statistics as they are: raw: true adds them as K2 does")
	default:
		s.note("score: K2 adds the statistics as they are, so that free memory counts against a server. Here each is first brought to 0 for the best to 1 for the worst server; raw: true adds them as K2 does")
	}
	return raw, all
}

// asked are the statistics that count, or all, where none does.
func (s *settings) asked() (all []statistic) {
	for _, k := range statistics {
		of := func(m multiplier) bool { return m.uid == k.uid }
		if len(s.multipliers) == 0 && k.uid != "bscAppPoolSpandAvg" || slices.ContainsFunc(s.multipliers, of) && !slices.ContainsFunc(all, func(o statistic) bool { return o.stat == k.stat }) {
			all = append(all, k)
		}
	}
	return all
}

func statOf(uid string) members.Stat {
	i := slices.IndexFunc(statistics, func(k statistic) bool { return k.uid == uid })
	return statistics[i].stat
}

// quote writes text so that a config file means just that by it.
func quote(text string) string {
	return strconv.Quote(strings.NewReplacer("$$", "$$$$", "${", "$${").Replace(strings.ToValidUTF8(text, "?")))
}
