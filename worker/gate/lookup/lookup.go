package lookup

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/worker/gate"
	"github.com/tinehq/tine/worker/gate/history"
	"github.com/tinehq/tine/worker/gate/pending"
	"github.com/tinehq/tine/worker/gate/proxy"
	"github.com/tinehq/tine/worker/gate/route"
)

// Options of a Lookup.
type Options struct {
	Pools *route.Pools // needed
	// Routed reports whether a route leads to members of a type: the error is another where none does. nil: one does.
	Routed func(kind string) bool
	// Pending holds the picks of clients that have not arrived; nil: they do not count.
	Pending *pending.Ledger
}

// Lookup answers which member is picked. It may be used by all goroutines at once.
type Lookup struct{ options Options }

// New makes a Lookup.
func New(o Options) *Lookup {
	if o.Routed == nil {
		o.Routed = func(string) bool { return true }
	}
	return &Lookup{o}
}

// NoServersError is the error for a type that has no member which could be picked. Its texts are those of Pinus.
type NoServersError struct {
	Type   string
	Routed bool  // a route leads to members of the type
	Err    error // gate.ErrNoMember or gate.ErrFull; nil: there is no member of the type at all
}

func (e *NoServersError) Error() string {
	if e.Routed {
		return fmt.Sprintf("can not find %s servers.", e.Type)
	}
	return "can not find server info for type:" + e.Type
}

// Unwrap returns why none could be picked.
func (e *NoServersError) Unwrap() error { return e.Err }

// Member is the member of a type that is picked for a key. Nothing is reserved there. The error is a *NoServersError.
func (l *Lookup) Member(kind, key string) (members.Member, error) {
	k, err := l.pick(l.options.Pools.Of(kind), kind, key, nil)
	if err != nil {
		return members.Member{}, err
	}
	defer k.Release()
	return *k.Member(), nil
}

func (l *Lookup) pick(p *gate.Picker, kind, key string, decision *history.Decision) (gate.Pick, error) {
	if p == nil {
		return gate.Pick{}, &NoServersError{Type: kind, Routed: l.options.Routed(kind)}
	}
	now := ipc.Monotonic()
	k, err := p.Pick(gate.Request{Key: key, Now: now, Seen: decision.Picking(now)})
	if err != nil {
		return gate.Pick{}, &NoServersError{Type: kind, Routed: l.options.Routed(kind), Err: err}
	}
	decision.Picked(k.Member().ID)
	decision.Told()
	return k, nil
}

// question is what a client asks.
type question struct {
	kind, key string
	strict    bool
}

// answer is what it gets.
type answer struct {
	Code int    `json:"code"`
	Host string `json:"host,omitempty"`
	Port int    `json:"port,omitempty"`
}

// mostQuestion bounds the body of a lookup, in bytes.
const mostQuestion = 64 << 10

// Deliver answers one lookup: see package route.
func (l *Lookup) Deliver(w http.ResponseWriter, r *http.Request, c proxy.Choice) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "application/json")
	q, err := read(r, c)
	found := answer{Code: http.StatusInternalServerError}
	if err == nil {
		found, err = l.client(q, history.Of(r.Context()))
	}
	status := http.StatusOK
	if err != nil {
		w.Header().Set("Tine-Why", err.Error())
		if q.strict {
			status = http.StatusServiceUnavailable
			w.Header().Set("Retry-After", "1")
		}
	}
	b, err := json.Marshal(found)
	if err != nil {
		panic("lookup: an answer that cannot be encoded: " + err.Error())
	}
	w.WriteHeader(status)
	_, _ = w.Write(b)
}

// client picks a member for a client.
func (l *Lookup) client(q question, decision *history.Decision) (answer, error) {
	failed := answer{Code: http.StatusInternalServerError}
	k, err := l.pick(l.options.Pools.OfClients(q.kind), q.kind, q.key, decision)
	if err != nil {
		return failed, err
	}
	host, text, err := net.SplitHostPort(k.Member().ClientAddress)
	port, bad := strconv.Atoi(text)
	if err != nil || bad != nil || !k.Member().Frontend {
		k.Release()
		return failed, fmt.Errorf("server %s has no address for clients", k.Member().ID)
	}
	if l.options.Pending != nil {
		l.options.Pending.Add(k, ipc.Monotonic())
	} else {
		k.Release()
	}
	return answer{Code: http.StatusOK, Host: host, Port: port}, nil
}

// read reads what a client asks, from the query and from the body, which counts where it says something.
func read(r *http.Request, c proxy.Choice) (q question, err error) {
	q = question{kind: route.Query(r, "type"), key: route.Query(r, "uid"), strict: route.Query(r, "strict") == "1"}
	if q.key == "" {
		q.key = route.Query(r, "key")
	}
	if r.Method == http.MethodPost {
		body, err := proxy.PeekBody(r, mostQuestion)
		if err != nil {
			return q, fmt.Errorf("cannot read the lookup: %w", err)
		}
		var said map[string]json.RawMessage
		if len(body) > 0 && json.Unmarshal(body, &said) != nil {
			return q, errors.New("cannot read the lookup: it is not a JSON object")
		}
		for _, name := range []string{"key", "uid"} {
			if v := route.Scalar(said[name]); v != "" {
				q.key = v
			}
		}
		if v := route.Scalar(said["type"]); v != "" {
			q.kind = v
		}
		q.strict = q.strict || string(said["strict"]) == "true" || string(said["strict"]) == "1"
	}
	if q.kind == "" {
		q.kind = c.Pool
	}
	if q.key == "" {
		q.key = c.Key // as the route has it
	}
	if q.key == "" {
		return q, errors.New("the lookup has no uid")
	}
	return q, nil
}
