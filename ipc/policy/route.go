package policy

import (
	"cmp"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Route says where requests go. Those that it is for are the ones that fit all of Hosts, Path and Methods.
type Route struct {
	Name string `json:"name,omitempty"` // of letters, digits, - and _; for texts

	Hosts   []string `json:"hosts,omitempty"`   // names, or *.example.com, which is for all names below; none: every host
	Path    string   `json:"path,omitempty"`    // begins the path, by whole segments: /api is for /api and /api/x, and not for /apis; "": every path
	Methods []string `json:"methods,omitempty"` // none: every method

	Strip   bool   `json:"strip,omitempty"`   // the member gets the path without Path
	To      string `json:"to,omitempty"`      // the type of the members; "": all members
	Key     string `json:"key,omitempty"`     // "": that of the policy
	Pick    string `json:"pick,omitempty"`    // one of Ways; "": that of the policy. All routes to one type have the same, but for those that do not pass requests on
	Deliver string `json:"deliver,omitempty"` // "": that of the policy
}

// The ways of delivering a request.
const (
	DeliverProxy    = "proxy"    // it is passed on to the member
	DeliverRedirect = "redirect" // the client is sent to the member
	DeliverLookup   = "lookup"   // the client is told the member's address: GET /v1/pick
)

// Delivers are the names of all of them.
var Delivers = []string{DeliverProxy, DeliverRedirect, DeliverLookup}

// MostRoutes bounds the routes of a policy.
const MostRoutes = 10_000

// Sticky has the requests of one user go to one member, as long as it can be picked.
type Sticky struct {
	By     string `json:"by"`               // StickyCookie, StickyLogin, StickyIP, or a key as ParseKey has it
	Cookie string `json:"cookie,omitempty"` // its name, of the first two; "": see CookieName
	// Secret signs the cookie. "": the gateway's workers make one, which they share until the gateway ends.
	Secret   string        `json:"secret,omitempty"`
	Age      time.Duration `json:"age,omitempty"`      // the client forgets the cookie after so long; 0: when the browser ends
	Login    string        `json:"login,omitempty"`    // of StickyLogin: the cookie is set by the answer to this path
	Logout   string        `json:"logout,omitempty"`   // of StickyLogin, and deleted by the answer to this one
	Draining bool          `json:"draining,omitempty"` // a user also stays at a member that drains, until it is gone
}

// The kinds of Sticky.By, beside keys.
const (
	StickyCookie = "cookie"
	StickyLogin  = "login"
	StickyIP     = "ip"
)

// ByCookie reports whether a cookie tells a user's member. nil is not sticky.
func (s *Sticky) ByCookie() bool { return s != nil && (s.By == StickyCookie || s.By == StickyLogin) }

// Way is how members are picked where a route does not say otherwise: Pick, or rendezvous where users stick by a key; "": the default.
func (p *Policy) Way() string {
	if p.Pick == "" && p.Sticky != nil && !p.Sticky.ByCookie() {
		return Rendezvous
	}
	return p.Pick
}

// CookieName is the name of the cookie of a gateway.
func (s *Sticky) CookieName(app string) string {
	if s.Cookie != "" {
		return s.Cookie
	}
	return "tine-" + cookieName.ReplaceAllString(app, "-")
}

var (
	cookieName = regexp.MustCompile(`[^A-Za-z0-9_-]`)
	hostName   = regexp.MustCompile(`^(\*\.)?[a-z0-9]([a-z0-9_-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9_-]*[a-z0-9])?)*$`)
	method     = regexp.MustCompile(`^[A-Z]+$`)
)

func (r *Route) check(fail func(field, format string, args ...any)) {
	for _, host := range r.Hosts {
		if !hostName.MatchString(host) && !strings.Contains(host, ":") { // one of IPv6
			fail("host", "%q is not a host: write a name in lower case, without a port, or *.example.com", host)
		}
	}
	if u, err := url.Parse(r.Path); r.Path != "" && (err != nil || !strings.HasPrefix(r.Path, "/") || u.Path != r.Path) {
		fail("path", "%q is not the beginning of a path: write one as /api, without escapes", r.Path)
	}
	for _, m := range r.Methods {
		if !method.MatchString(m) {
			fail("methods", "%q is not a method: write one in upper case, such as GET", m)
		}
	}
	if r.Strip && strings.Trim(r.Path, "/") == "" {
		fail("strip", "there is nothing to strip: write a path")
	}
	checkWay(fail, r.Pick)
	checkKey(fail, r.Key)
	checkDeliver(fail, r.Deliver)
}

func checkWay(fail func(field, format string, args ...any), way string) {
	if way != "" && !slices.Contains(Ways, way) {
		fail("pick", "%q is not known: write one of %s", way, strings.Join(Ways, ", "))
	}
}

func checkKey(fail func(field, format string, args ...any), key string) {
	if _, err := ParseKey(key); err != nil {
		fail("key", "%v", err)
	}
}

func checkDeliver(fail func(field, format string, args ...any), way string) {
	if way != "" && !slices.Contains(Delivers, way) {
		fail("deliver", "%q is not known: write one of %s", way, strings.Join(Delivers, ", "))
	}
}

// checkDelivery says what is wrong with how p routes and delivers.
func (p *Policy) checkDelivery(fail func(field, format string, args ...any)) {
	if len(p.Routes) > MostRoutes {
		fail("routes", "there are %d: at most %d are expected", len(p.Routes), MostRoutes)
		return
	}
	ways := map[string]string{}
	for i := range p.Routes {
		r := &p.Routes[i]
		if cookieName.MatchString(r.Name) {
			fail("routes", "%q is not a name: write one of letters, digits, - and _", r.Name)
			continue
		}
		in := func(field, format string, args ...any) {
			fail("routes."+cmp.Or(r.Name, strconv.Itoa(i))+"."+field, format, args...)
		}
		r.check(in)
		pool := r.To
		if way := cmp.Or(r.Deliver, p.Deliver, DeliverProxy); way != DeliverProxy {
			pool = "clients\x00" + r.To
		}
		if way, known := ways[pool]; known && r.Pick != "" && r.Pick != way {
			in("pick", "it is %s here and %s in a route before: members of one type are picked in one way", r.Pick, way)
		} else if r.Pick != "" {
			ways[pool] = r.Pick
		}
		if way := r.Deliver; way == DeliverRedirect || way == "" && p.Deliver == DeliverRedirect {
			if r.Strip {
				in("strip", "a client that is sent to a member by a redirect keeps its path")
			}
		}
	}
	checkDeliver(fail, p.Deliver)
	if u, err := url.Parse(p.Base); p.Base != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "") {
		fail("base", "%q is not a base for redirects: write one as http://example.com/apps/", p.Base)
	}
	if p.Replay < 0 || p.Replay > MostReplay {
		fail("replay", "%d bytes are out of range: at most %d are expected", p.Replay, MostReplay)
	}
	for _, status := range p.FailStatus {
		if status < 400 || status > 599 {
			fail("eject.status", "%d is not the status of a failure: write 400 to 599", status)
		}
	}
	p.Sticky.check(p, func(field, format string, args ...any) { fail("sticky."+field, format, args...) })
}

// MostReplay bounds Policy.Replay, in bytes.
const MostReplay = 64 << 20

func (s *Sticky) check(p *Policy, fail func(field, format string, args ...any)) {
	switch {
	case s == nil:
		return
	case s.ByCookie():
		if s.Cookie != "" && (cookieName.MatchString(s.Cookie) || len(s.Cookie) > 64) {
			fail("cookie", "%q is not a name: write one of letters, digits, - and _", s.Cookie)
		}
		if s.By == StickyLogin && !strings.HasPrefix(s.Login, "/") {
			fail("login", "%q is not a path: write that to which users log in, as /login", s.Login)
		}
		if s.Logout != "" && !strings.HasPrefix(s.Logout, "/") {
			fail("logout", "%q is not a path: write one as /logout", s.Logout)
		}
	case s.By == "":
		fail("by", "it is missing: write cookie, login, ip or a key, such as header:X-User")
	default:
		if _, err := ParseKey(s.By); err != nil {
			fail("by", "%q is not known: write cookie, login, ip or a key, such as header:X-User", s.By)
		}
		if p.Pick != "" && !ByKey(p.Pick) {
			fail("by", "%s is a key, and members are picked by %s: write pick: %s, %s or %s, or none", s.By, p.Pick, Rendezvous, Maglev, CRC32Mod)
		}
		if s.Cookie != "" || s.Secret != "" || s.Age != 0 || s.Draining {
			fail("by", "%s has no cookie, secret, age or draining: those are for cookie and login", s.By)
		}
	}
	if s.By != StickyLogin && (s.Login != "" || s.Logout != "") {
		fail("login", "it is for by: login")
	}
	if s.Age < 0 {
		fail("age", "%s is negative", s.Age)
	}
}
