package sticky

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/ipc/policy"
	"github.com/tinehq/tine/worker/gate"
	"github.com/tinehq/tine/worker/gate/proxy"
	"github.com/tinehq/tine/worker/gate/route"
)

// Options of a Sticky. Policy, Gateway and Standing are needed.
type Options struct {
	Policy  policy.Sticky // by cookie or login
	Gateway string        // the name of its app

	// Standing says how a member of a pool stands.
	Standing func(pool, id string) gate.Standing

	// Secure reports whether a client has come by TLS. nil: where the request has.
	Secure func(*http.Request) bool

	// Moved is told of a user whose member could not take a request, and who is at another one from here on. from is "" where it is not
	// known. It is called by all requests at once. nil: nothing is told.
	Moved func(r *http.Request, from, to string)
}

// Sticky knows the users' members. Stick may be called by all goroutines at once, Update and SetSecrets too.
type Sticky struct {
	options Options
	pools   sync.Map // of *marker, by the name of the pool
	names   atomic.Pointer[names]

	mu      sync.Mutex // of what names are made of
	secrets [][]byte
	ids     []string
}

// names are what cookies call the members. They never change.
type names struct {
	ofID map[string]string
	toID map[string]string // also names by the secrets of before
}

// New makes a Sticky that knows no member yet.
func New(o Options) *Sticky {
	if o.Secure == nil {
		o.Secure = func(r *http.Request) bool { return r.TLS != nil }
	}
	s := &Sticky{options: o}
	secret := []byte(o.Policy.Secret)
	if len(secret) == 0 { // until the workers share one
		secret = NewSecret()
	}
	s.SetSecrets(secret)
	return s
}

// NewSecret makes a secret for the workers of a gateway to share.
func NewSecret() []byte {
	secret := make([]byte, 32)
	rand.Read(secret)
	return secret
}

// SetSecrets sets the secret by which members are named, and those of before, by which they are still known.
func (s *Sticky) SetSecrets(secret []byte, before ...[]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secrets = append([][]byte{secret}, before...)
	s.name()
}

// Update takes in which members there are.
func (s *Sticky) Update(t members.Table) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if same(s.ids, t.Members) {
		return
	}
	s.ids = make([]string, len(t.Members))
	for i := range t.Members {
		s.ids[i] = t.Members[i].ID
	}
	s.name()
}

func same(ids []string, all []members.Member) bool {
	if len(ids) != len(all) {
		return false
	}
	for i := range all {
		if all[i].ID != ids[i] {
			return false
		}
	}
	return true
}

// name makes the names anew. It is called with mu held.
func (s *Sticky) name() {
	n := &names{make(map[string]string, len(s.ids)), make(map[string]string, len(s.ids)*len(s.secrets))}
	for i := len(s.secrets) - 1; i >= 0; i-- {
		mac := hmac.New(sha256.New, s.secrets[i])
		for _, id := range s.ids {
			mac.Reset()
			mac.Write([]byte("member\x00" + id))
			name := base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
			n.ofID[id], n.toID[name] = name, id
		}
	}
	s.names.Store(n)
}

// Stick has a request prefer the member of its user: see route.Options.
func (s *Sticky) Stick(r *http.Request, c proxy.Choice) proxy.Choice {
	m := s.marker(c.Pool)
	c.Marker, c.Draining = m, s.options.Policy.Draining
	if name := route.Cookie(r, m.cookie); name != "" {
		c.Prefer = s.names.Load().toID[name]
	}
	return c
}

// marker is that of a pool.
func (s *Sticky) marker(pool string) *marker {
	if m, ok := s.pools.Load(pool); ok {
		return m.(*marker)
	}
	name := s.options.Policy.CookieName(s.options.Gateway)
	if pool != route.All {
		name += "-" + (&policy.Sticky{}).CookieName(pool)[len("tine-"):]
	}
	m, _ := s.pools.LoadOrStore(pool, &marker{s, pool, name})
	return m.(*marker)
}

// marker sets the cookie for the members of one pool.
type marker struct {
	*Sticky
	pool   string
	cookie string
}

// Mark sets or deletes the cookie where that is due: see proxy.Marker.
func (m *marker) Mark(h http.Header, r *http.Request, status int, by *members.Member, prefer string) {
	p := &m.options.Policy
	had := route.Cookie(r, m.cookie)
	switch {
	case p.By == policy.StickyLogin && p.Logout != "" && at(r, p.Logout):
		if had != "" {
			m.set(h, r, "", -1)
		}
		return
	case p.By == policy.StickyLogin && at(r, p.Login):
		if status >= http.StatusBadRequest {
			return
		}
	case p.By == policy.StickyLogin && had == "":
		return // a user who has not logged in
	case by.ID != prefer && prefer != "" && m.options.Standing(m.pool, prefer).Full && m.stands(prefer):
		return
	}
	name := m.names.Load().ofID[by.ID]
	if name == had || name == "" {
		return
	}
	if by.ID != prefer && had != "" && m.options.Moved != nil {
		m.options.Moved(r, prefer, by.ID)
	}
	m.set(h, r, name, int(p.Age.Seconds()))
}

// stands reports whether a member would take its users, if it had room.
func (m *marker) stands(id string) bool {
	state := m.options.Standing(m.pool, id).State
	return state == members.Ready || state == members.Draining && m.options.Policy.Draining
}

func (m *marker) set(h http.Header, r *http.Request, value string, age int) {
	c := http.Cookie{Name: m.cookie, Value: value, Path: "/", MaxAge: age, HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: m.options.Secure(r)}
	h.Add("Set-Cookie", c.String())
}

// at reports whether a request is for a path, with or without a slash at the end.
func at(r *http.Request, path string) bool {
	return strings.TrimSuffix(r.URL.Path, "/") == strings.TrimSuffix(path, "/")
}
