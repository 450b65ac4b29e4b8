package config

import (
	"math"
	"net"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/supervisor/fleet/checks"
	"github.com/tinehq/tine/supervisor/fleet/dns"
)

// GatewaySources are where a gateway's members come from beside apps and a list, and how it is found out how they are.
type GatewaySources struct {
	Topology string `json:",omitempty"` // path of a servers.json as Pinus has it; package supervisor/fleet/topology. From a file: relative to its folder
	Env      string `json:",omitempty"` // the environment of Topology; "": the only one that it has
	DNS      GatewayDNS
	// Processes are apps of this host whose processes are not Tine's.
	Processes GatewayProcesses
	Check     GatewayCheck
	Reports   GatewayReports
}

// GatewayDNS are names whose addresses are members, looked up by their TTLs.
type GatewayDNS struct {
	Names  []string `json:",omitempty"` // host:port, or services such as _http._tcp.web.internal
	Server string   `json:",omitempty"` // IP:port that is asked; "": those of /etc/resolv.conf
}

// GatewayProcesses are processes of this host that are counted. It is off while Command is "".
type GatewayProcesses struct {
	Command string        `json:",omitempty"` // as ps -o comm shows it
	User    string        `json:",omitempty"` // name or number; "": any
	AppFrom string        `json:",omitempty"` // expression over working folder and open files, whose first group is the app; default srv/([^/]+)
	Apps    []string      `json:",omitempty"` // that may be picked; none: those that are seen
	Address string        `json:",omitempty"` // host:port of all Apps
	Every   time.Duration `json:",omitempty"` // default 1s
}

// The ways of a check.
const (
	CheckTCP  = "tcp"
	CheckHTTP = "http"
	CheckNone = "none"
)

// GatewayCheck is how members are checked that are not apps of the same master. The zero value is a connection every second.
type GatewayCheck struct {
	Way       string        `json:",omitempty"` // tcp, http or none; default tcp, or http where Path, Host, Status or TLS is set
	Path      string        `json:",omitempty"` // default /
	Host      string        `json:",omitempty"` // default: that of the address
	Status    string        `json:",omitempty"` // such as 200-299,404; default 200-399
	TLS       bool          `json:",omitempty"`
	Insecure  bool          `json:",omitempty"` // any certificate will do
	Every     time.Duration `json:",omitempty"` // at least 10ms; default 1s
	Timeout   time.Duration `json:",omitempty"` // default 1s
	Fall      int           `json:",omitempty"` // so many fail in a row until a member is down; default 3
	Rise      int           `json:",omitempty"` // so many pass until it is up again; default 2
	Agent     int           `json:",omitempty"` // port at each member's host at which HAProxy's agent-check is answered; 0: none
	AgentSend string        `json:",omitempty"` // that is sent to it first
}

// By is the way that counts.
func (c *GatewayCheck) By() string {
	switch {
	case c.Way != "":
		return c.Way
	case c.Path != "" || c.Host != "" || c.Status != "" || c.TLS:
		return CheckHTTP
	}
	return CheckTCP
}

// GatewayReports is how members say what their load is. It is off while URL is "".
type GatewayReports struct {
	URL     string            `json:",omitempty"` // with {address}, {host}, {port} and {id} of the member
	Stats   map[string]string `json:",omitempty"` // where each statistic is in the JSON of the answer; none: the answer is that of Tine's /v1/load
	Every   time.Duration     `json:",omitempty"` // at least 10ms; default 1s
	Timeout time.Duration     `json:",omitempty"` // default 1s
}

// Question is what members are asked.
func (r *GatewayReports) Question() members.Question {
	q := members.Question{URL: r.URL}
	if len(r.Stats) > 0 {
		q.Stats = map[members.Stat]string{}
		for stat, place := range r.Stats {
			q.Stats[members.Stat(stat)] = place
		}
	}
	return q
}

// none reports whether no member comes from s.
func (s *GatewaySources) none() bool {
	return s.Topology == "" && len(s.DNS.Names) == 0 && s.Processes.Command == ""
}

// leastPace is the shortest time between two questions to one member.
const leastPace = 10 * time.Millisecond

// gatewaySources checks them.
func (c *checker) gatewaySources(path string, s *GatewaySources) {
	if s.Topology != "" && !filepath.IsAbs(s.Topology) {
		c.fail(Join(path, "topology"), "%s is not an absolute path", Shorten(s.Topology))
	}
	if s.Env != "" && s.Topology == "" {
		c.fail(Join(path, "env"), "an environment of no file: write topology: config/servers.json beside it")
	}
	c.gatewayDNS(Join(path, "dns"), s.DNS)
	c.gatewayProcesses(Join(path, "processes"), s.Processes)
	c.gatewayCheck(Join(path, "check"), s.Check)
	at := Join(path, "reports")
	if r := s.Reports; r.URL != "" {
		q := r.Question()
		if err := q.Check(); err != nil {
			c.fail(at, "%v", err)
		}
		c.pace(at, r.Every, r.Timeout)
	} else if len(r.Stats) > 0 || r.Every != 0 || r.Timeout != 0 {
		c.fail(at, "no url: write one such as http://{address}/v1/load")
	}
}

func (c *checker) pace(path string, every, timeout time.Duration) {
	if every != 0 && every < leastPace {
		c.fail(Join(path, "every"), "%s is too short: write at least %s", every, leastPace)
	}
	if timeout < 0 {
		c.fail(Join(path, "timeout"), "%s is negative", timeout)
	}
}

func (c *checker) gatewayDNS(path string, d GatewayDNS) {
	for i, name := range d.Names {
		at := Index(Join(path, "names"), i)
		if err := dns.Check(name); err != nil {
			c.fail(at, "%v", err)
		} else if slices.Contains(d.Names[:i], name) {
			c.fail(at, "%s is there twice", name)
		}
	}
	if d.Server != "" {
		if _, err := netip.ParseAddrPort(d.Server); err != nil {
			c.fail(Join(path, "server"), "%s is not IP:port: write one such as 127.0.0.1:8600", Shorten(d.Server))
		}
	}
}

func (c *checker) gatewayProcesses(path string, p GatewayProcesses) {
	if p.Command == "" {
		if p.User != "" || p.AppFrom != "" || len(p.Apps) > 0 || p.Address != "" || p.Every != 0 {
			c.fail(path, "no command: write the one that ps -o comm shows, such as R")
		}
		return
	}
	if len(p.Command) > 15 {
		c.fail(Join(path, "command"), "%s has more than 15 bytes, which is all that the kernel keeps: write what ps -o comm shows", Shorten(p.Command))
	}
	if p.AppFrom != "" {
		if e, err := regexp.Compile(p.AppFrom); err != nil {
			c.fail(Join(path, "app_from"), "%s is not a regular expression: %v", Shorten(p.AppFrom), err)
		} else if e.NumSubexp() < 1 {
			c.fail(Join(path, "app_from"), "%s has no group: put what names the app in parentheses, as in srv/([^/]+)", Shorten(p.AppFrom))
		}
	}
	for i, app := range p.Apps {
		if app == "" || slices.Contains(p.Apps[:i], app) {
			c.fail(Index(Join(path, "apps"), i), "%q is empty, or there twice", app)
		}
	}
	switch _, _, err := net.SplitHostPort(p.Address); {
	case len(p.Apps) > 0 && p.Address == "":
		c.fail(Join(path, "apps"), "no address at which they are: write address: HOST:PORT beside them")
	case p.Address != "" && len(p.Apps) == 0:
		c.fail(Join(path, "address"), "it is for apps that are named: write apps: [APP, ...] beside it")
	case p.Address != "" && err != nil:
		c.fail(Join(path, "address"), "%s is not HOST:PORT", Shorten(p.Address))
	}
	c.pace(path, p.Every, 0)
}

func (c *checker) gatewayCheck(path string, k GatewayCheck) {
	if k.Way != "" && !slices.Contains([]string{CheckTCP, CheckHTTP, CheckNone}, k.Way) {
		c.fail(Join(path, "way"), "%s is not a way to check: write tcp, http or none", Shorten(k.Way))
	}
	if k.By() != CheckHTTP {
		for _, key := range []struct {
			name string
			set  bool
		}{{"path", k.Path != ""}, {"host", k.Host != ""}, {"status", k.Status != ""}, {"tls", k.TLS}, {"insecure", k.Insecure}} {
			if key.set {
				c.fail(Join(path, key.name), "it is for way: http")
			}
		}
	}
	if k.Path != "" && (!strings.HasPrefix(k.Path, "/") || strings.ContainsAny(k.Path, " \r\n")) {
		c.fail(Join(path, "path"), "%s is not a path: write one such as /healthz", Shorten(k.Path))
	}
	if k.Status != "" {
		if _, err := checks.ParseStatuses(k.Status); err != nil {
			c.fail(Join(path, "status"), "%v", err)
		}
	}
	if k.AgentSend != "" && k.Agent == 0 {
		c.fail(Join(path, "agent_send"), "it is for an agent: write agent: PORT beside it")
	}
	c.between(Join(path, "fall"), k.Fall, 0, math.MaxInt32)
	c.between(Join(path, "rise"), k.Rise, 0, math.MaxInt32)
	c.between(Join(path, "agent"), k.Agent, 0, 65535)
	c.pace(path, k.Every, k.Timeout)
}
