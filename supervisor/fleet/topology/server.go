package topology

import (
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/supervisor/config"
)

var (
	// fields are those that say what a member is.
	fields = []string{"id", "host", "port", "clientPort", "frontend", "clientHost", "weight", "max_in_flight", "zone"}
	// passed are the fields with which Pinus and Pomelo start a server.
	passed = []string{"args", "cpu", "memory", "alias", "auto-restart", "restart-force", "serverType", "env"}
)

// server reads one server.
func (p *parser) server(kind, path string) {
	at := p.at()
	s := serverFields{parser: p, path: path, at: at, places: map[string]int{}}
	m := members.Member{Type: kind, Env: p.table.Environment, Weight: 1, State: members.Ready}
	var host, clientHost string
	var port, clientPort int
	before := len(p.problems)
	p.object(path, "an object, which is a server", func(key string, at int) {
		s.places[key] = p.at()
		switch key {
		case "id":
			m.ID = s.text(key)
		case "host":
			host = s.text(key)
		case "port":
			port = s.whole(key, 1, 65535)
		case "clientPort":
			clientPort = s.whole(key, 1, 65535)
		case "frontend":
			if frontend, ok := s.scalar().(bool); ok {
				m.Frontend = frontend
			} else {
				s.fail(key, "true or false is expected")
			}
		case "clientHost":
			clientHost = s.text(key)
		case "weight":
			n, ok := s.scalar().(json.Number)
			w, err := strconv.ParseFloat(string(n), 64)
			if !ok || err != nil || w < 0 || w > members.MaxWeight {
				s.fail(key, "a number from 0 to %v is expected", float64(members.MaxWeight))
				return
			}
			m.Weight = w
		case "max_in_flight":
			m.MaxInFlight = s.whole(key, 0, 1<<31-1)
		case "zone":
			m.Zone = s.text(key)
		default:
			p.skip()
			if slices.Contains(passed, key) {
				return
			}
			s.unknown = append(s.unknown, key)
			text := "the fields are " + strings.Join(fields, ", ")
			if near := config.Suggest(key, fields); near != "" {
				text = "did you mean " + near + "?"
			}
			p.table.Warnings = append(p.table.Warnings, p.problem(at, join(path, key), "unknown field: %s", text))
		}
	})
	if p.broken || len(p.problems) > before {
		return
	}
	s.require("id", "a name that no other server of the environment has is expected")
	s.require("host", "a name or an IP is expected")
	if !m.Frontend {
		s.require("port", "1 to 65535 is expected: only a frontend may have clientPort alone")
	} else {
		s.require("clientPort", "1 to 65535 is expected: clients are sent to it, as frontend is true")
	}
	if s.has("clientPort") && !m.Frontend {
		s.fail("clientPort", "clients are sent to frontends only: add \"frontend\": true, or remove clientPort")
	}
	if s.has("clientHost") && !m.Frontend {
		s.fail("clientHost", "clients are sent to frontends only: add \"frontend\": true, or remove clientHost")
	}
	if first, twice := p.ids[m.ID]; twice && s.has("id") {
		s.fail("id", "%q is there twice: first in line %d", m.ID, p.line(first))
	}
	if len(p.problems) > before {
		return
	}
	p.ids[m.ID] = s.places["id"]
	if clientPort > 0 {
		if clientHost == "" {
			clientHost = host
		}
		m.ClientAddress = net.JoinHostPort(clientHost, strconv.Itoa(clientPort))
	}
	if port == 0 {
		port = clientPort
	}
	m.Address = net.JoinHostPort(host, strconv.Itoa(port))
	if first, twice := p.addresses[m.Address]; twice {
		p.table.Warnings = append(p.table.Warnings, p.problem(at, path, "%s has the address of %s, %s: one of the two gets the requests of both", m.ID, first, m.Address))
	} else {
		p.addresses[m.Address] = m.ID
	}
	p.table.Members = append(p.table.Members, m)
}

// serverFields reads the fields of one server.
type serverFields struct {
	*parser
	path    string
	at      int            // of the server
	places  map[string]int // of the values
	unknown []string
}

func (s *serverFields) has(key string) bool { _, there := s.places[key]; return there }

func (s *serverFields) fail(key, format string, args ...any) {
	s.parser.fail(s.places[key], s.path+"."+key, format, args...)
}

// require reports a field that is not there, and the unknown one that may be meant.
func (s *serverFields) require(key, expected string) {
	if s.has(key) {
		return
	}
	for _, other := range s.unknown {
		if config.Suggest(other, fields) == key {
			expected += fmt.Sprintf("; %q may be meant", other)
		}
	}
	s.parser.fail(s.at, s.path+"."+key, "is missing: %s", expected)
}

// scalar reads a value that is not an object or a list; nil: it is one of them, or null.
func (s *serverFields) scalar() json.Token {
	if c := s.next(); c == '{' || c == '[' {
		s.skip()
		return nil
	}
	return s.token()
}

func (s *serverFields) text(key string) string {
	v, ok := s.scalar().(string)
	switch {
	case s.broken:
	case !ok:
		s.fail(key, "a text is expected")
	case strings.TrimSpace(v) == "" || strings.ContainsAny(v, " \t\r\n"):
		s.fail(key, "%q is not a name: a text without blanks is expected", v)
	}
	return v
}

func (s *serverFields) whole(key string, least, most int) int {
	v := s.scalar()
	number, ok := v.(json.Number)
	n, err := strconv.Atoi(string(number))
	switch text, isText := v.(string); {
	case s.broken:
	case isText && strings.HasSuffix(text, "++"):
		s.fail(key, "%q counts up with clusterCount, which is not read: write each server with its own %s", text, key)
	case isText:
		s.fail(key, "%q is a text: a number from %d to %d is expected, without quotes", text, least, most)
	case !ok:
		s.fail(key, "a number from %d to %d is expected", least, most)
	case err != nil || n < least || n > most:
		s.fail(key, "%s is not a number from %d to %d", number, least, most)
	}
	return n
}
