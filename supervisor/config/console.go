package config

import (
	"strings"
	"time"

	"github.com/tinehq/tine/supervisor/listen"
)

// ControlOff is what [Config.Control] is when no control API is wanted.
const ControlOff = "off"

// maxSocketPath is the longest path of a Unix socket: sun_path of unix(7) less its zero byte.
const maxSocketPath = 107

// Dashboard is the page that shows the apps in a browser. In a file it may be its address alone.
type Dashboard struct {
	Listen string // TCP address, such as 127.0.0.1:7077; default: no dashboard
	// TokenFile holds the token that lets a reader give orders. Default: no reader can. From a file: relative to the file's
	// own folder.
	TokenFile string
}

// Metrics is where Prometheus reads the metrics over TCP; the control socket has them in any case. In a file it may be the
// address alone.
type Metrics struct {
	Listen string // TCP address, such as 127.0.0.1:9464; default: only on the control socket
}

// Health is where an orchestrator asks over TCP whether the master is alive (GET /healthz) and new connections are welcome
// (GET /readyz). In a file it may be the address alone.
type Health struct {
	Listen string // TCP address, such as :8086; default: none
	Agent  string // TCP address at which HAProxy's agent-check is answered; default: none
}

// StopTimeoutOff is the [Config.StopTimeout] of a master that nothing kills, also as PID 1 of a container, where the command
// tine would assume 10s.
const StopTimeoutOff time.Duration = -1

// leastStopTimeout is enough for a stop that kills all workers.
const leastStopTimeout = time.Second

// console checks how the master is reached from outside. taken are the addresses of the apps.
func (c *checker) console(config *Config, taken []claim) {
	if strings.ContainsRune(config.Control, 0) {
		c.fail("control", "contains a zero byte")
	} else if len(config.Control) > maxSocketPath {
		c.fail("control", "the path of the socket has %d bytes, the most is %d", len(config.Control), maxSocketPath)
	} else if config.Control != "" && config.Control != ControlOff {
		path := listen.Address{Network: "unix", Addr: config.Control}
		c.free("control", claim{Place: path.Place(), address: path, text: config.Control, who: "the control socket"}, taken)
	}
	for _, s := range []struct{ name, key, address string }{
		{"dashboard", "listen", config.Dashboard.Listen}, {"metrics", "listen", config.Metrics.Listen},
		{"health", "listen", config.Health.Listen}, {"health", "agent", config.Health.Agent},
	} {
		if s.address == "" {
			continue
		}
		at := Join(s.name, s.key)
		claim, err := parseClaim(s.address)
		switch {
		case err != nil:
			c.fail(at, "%v", err)
			continue
		case claim.address.Network == "unix":
			c.fail(at, "%s is not a TCP address: write one such as 127.0.0.1:7077", s.address)
			continue
		}
		claim.who = "the " + s.name
		c.free(at, claim, taken)
		taken = append(taken, claim)
	}
	if config.StopDelay < 0 {
		c.fail("stop_delay", "%s is negative", config.StopDelay)
	}
	if config.StopTimeout > 0 && config.StopTimeout < leastStopTimeout {
		c.fail("stop_timeout", "%s is too short: write at least %s", config.StopTimeout, leastStopTimeout)
	}
	if config.Dashboard.TokenFile != "" && config.Dashboard.Listen == "" {
		c.fail("dashboard.token_file", "a token for no dashboard: write listen: 127.0.0.1:7077 beside it")
	}
}
