package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/supervisor/fleet"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// zone is a server of names, on UDP and TCP of one port. What is not in records does not exist.
type zone struct {
	mu       sync.Mutex
	records  map[string][]string // by name and type
	extra    []string            // that go with each answer for SRV
	truncate bool                // over UDP
	asked    []string
}

func serve(t *testing.T, z *zone) (address string) {
	t.Helper()
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", packets.LocalAddr().String())
	if err != nil {
		packets.Close()
		t.Skipf("the TCP port of the UDP one is taken: %v", err)
	}
	for _, s := range []*dns.Server{{PacketConn: packets, Handler: z}, {Listener: l, Handler: z}} {
		began, ended := make(chan struct{}), make(chan error, 1)
		s.NotifyStartedFunc = func() { close(began) }
		go func() { ended <- s.ActivateAndServe() }()
		<-began
		t.Cleanup(func() {
			_ = s.Shutdown()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
	return packets.LocalAddr().String()
}

func (z *zone) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	z.mu.Lock()
	defer z.mu.Unlock()
	key := strings.ToLower(q.Question[0].Name) + " " + dns.TypeToString[q.Question[0].Qtype]
	z.asked = append(z.asked, w.RemoteAddr().Network()+" "+key)
	a := new(dns.Msg)
	a.SetReply(q)
	texts, there := z.records[key]
	if !there {
		a.Rcode = dns.RcodeNameError
	}
	if q.Question[0].Qtype == dns.TypeSRV {
		texts = append(texts[:len(texts):len(texts)], z.extra...)
	}
	for i, text := range texts {
		rr, err := dns.NewRR(text)
		if err != nil {
			panic(err)
		}
		if i < len(z.records[key]) {
			a.Answer = append(a.Answer, rr)
		} else {
			a.Extra = append(a.Extra, rr)
		}
	}
	if z.truncate && w.RemoteAddr().Network() == "udp" {
		a.Truncated, a.Answer, a.Extra = true, nil, nil
	}
	_ = w.WriteMsg(a)
}

func shown(a answer) string {
	var all []string
	for _, v := range a.servers {
		all = append(all, fmt.Sprintf("%s %d/%d", v.at, v.priority, v.weight))
	}
	return strings.Join(all, ", ") + " for " + a.ttl.String()
}

// TestLook: hosts and services are found with the shortest TTL, also over TCP and through aliases; what is wrong is told.
func TestLook(t *testing.T) {
	t.Parallel()
	z := &zone{records: map[string][]string{
		"web.internal. A":    {"web.internal. 60 CNAME a.internal.", "a.internal. 30 A 10.0.0.2", "a.internal. 40 A 10.0.0.1"},
		"web.internal. AAAA": {"web.internal. 20 AAAA 2001:db8::1"},
		"only4.internal. A":  {"only4.internal. 3600 A 10.0.0.9"}, "only4.internal. AAAA": {},
		"none.internal. A": {}, "none.internal. AAAA": {},
		"_http._tcp.web.internal. SRV": {
			"_http._tcp.web.internal. 50 SRV 10 3 8081 b.internal.", "_http._tcp.web.internal. 50 SRV 10 1 8080 only4.internal.", "_http._tcp.web.internal. 50 SRV 20 0 8080 only4.internal.",
			"_http._tcp.web.internal. 50 SRV 5 0 8082 b.internal.",
		},
		"_no._tcp.web.internal. SRV":   {"_no._tcp.web.internal. 50 SRV 0 0 0 ."},
		"_half._tcp.web.internal. SRV": {"_half._tcp.web.internal. 50 SRV 0 0 1 b.internal.", "_half._tcp.web.internal. 50 SRV 0 0 1 gone.internal."},
	}, extra: []string{"b.internal. 45 A 10.0.1.1", "b.internal. 44 A 10.0.1.2", "other.internal. 1 A 10.9.9.9"}}
	server := serve(t, z)
	look := func(target string) string {
		a, err := resolver{Options{Target: target, Server: server}}.look(t.Context())
		if err != nil {
			return err.Error()
		}
		return shown(a)
	}
	all := map[string]string{
		"web.internal:80":         "10.0.0.1:80 0/0, 10.0.0.2:80 0/0, [2001:db8::1]:80 0/0 for 20s",
		"only4.internal:80":       "10.0.0.9:80 0/0 for 5m0s",
		"none.internal:80":        "cannot look none.internal:80 up: the name has no address",
		"nowhere.internal:80":     "cannot look nowhere.internal:80 up: no such name",
		"_http._tcp.web.internal": "10.0.1.1:8082 5/0, 10.0.1.2:8082 5/0, 10.0.0.9:8080 10/1, 10.0.1.1:8081 10/3, 10.0.1.2:8081 10/3 for 44s",
		"_no._tcp.web.internal":   "cannot look _no._tcp.web.internal up: the service has no server",
		"_half._tcp.web.internal": "cannot look _half._tcp.web.internal up: gone.internal.: no such name",
	}
	for range 2 {
		for target, want := range all {
			if got := look(target); got != want {
				t.Errorf("%s: got\n%s\nwant\n%s", target, got, want)
			}
		}
		z.mu.Lock()
		z.truncate = true
		z.mu.Unlock()
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	asked := strings.Join(z.asked, "\n")
	if !strings.Contains(asked, "udp web.internal. A\n") || !strings.Contains(asked, "tcp web.internal. A\n") || strings.Contains(asked, " b.internal.") {
		t.Error(asked)
	}
}

// TestSilentServer: a server that does not answer costs no more than the time there is.
func TestSilentServer(t *testing.T) {
	t.Parallel()
	l, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = resolver{Options{Target: "web.internal:80", Server: l.LocalAddr().String()}}.look(ctx)
	if err == nil || err.Error() != "cannot look web.internal:80 up: no answer in time" {
		t.Error(err)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, ok := range []string{"web.internal:80", "web:80", "_http._tcp.web.internal", "_http._tcp.web.internal."} {
		if err := Check(ok); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"", "web", "web:", "web:0", "web:http", ":80", "10.0.0.1:80", "[::1]:80", "_http", "_http._tcp", "a..b:80"} {
		if Check(bad) == nil {
			t.Errorf("%q", bad)
		}
	}
}

// told is what a Source emits, as lines with the seconds since the beginning.
func told(t *testing.T, s *Source, during time.Duration, plan map[int]func()) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), during)
	defer cancel()
	begin := time.Now()
	var lines []string
	for second, do := range plan {
		go func() {
			select {
			case <-time.After(time.Duration(second)*time.Second + time.Millisecond):
				do()
			case <-ctx.Done():
			}
		}()
	}
	s.Run(ctx, func(ev fleet.Event) {
		line := fmt.Sprintf("%d ", int(time.Since(begin).Seconds()))
		switch e := ev.(type) {
		case fleet.Listed:
			for _, m := range e.Members {
				line += fmt.Sprintf("%s*%g ", m.ID, m.Weight)
			}
		case fleet.Silent:
			line += e.Why
		}
		lines = append(lines, strings.TrimSpace(line))
	})
	return strings.Join(lines, "\n")
}

// TestTimes: a name is looked up when its TTL is over, and more and more rarely while that fails; its members stay.
func TestTimes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{Name: "dns"})
		begin := time.Now()
		var looks []string
		s.look = func(context.Context) (answer, error) {
			now := int(time.Since(begin).Seconds())
			looks = append(looks, fmt.Sprint(now))
			switch {
			case now > 20 && now < 60:
				return answer{}, errors.New("no answer in time")
			case now < 10:
				return answer{[]server{{at: netip.MustParseAddrPort("10.0.0.1:80")}}, 0}, nil
			}
			return answer{[]server{{at: netip.MustParseAddrPort("10.0.0.1:80")}, {at: netip.MustParseAddrPort("10.0.0.2:80")}}, 15 * time.Second}, nil
		}
		got := told(t, s, 100*time.Second, nil)
		// The fleet tells of the first failure in a row alone.
		want := "0 10.0.0.1:80*1\n10 10.0.0.1:80*1 10.0.0.2:80*1" + strings.Repeat("\n_ no answer in time", 6) + "\n_ 10.0.0.1:80*1 10.0.0.2:80*1"
		var lines []string
		for i, line := range strings.Split(got, "\n") {
			if _, rest, _ := strings.Cut(line, " "); i > 1 {
				line = "_ " + rest
			}
			lines = append(lines, line)
		}
		if text := strings.Join(lines, "\n"); text != want {
			t.Errorf("got\n%s\nwant\n%s", text, want)
		}
		if got, want := strings.Join(looks, " "), "0 1 2 3 4 5 6 7 8 9 10 25 26 28 32 40 56 86"; got != want {
			t.Errorf("looked up at %s, want %s", got, want)
		}
	})
}

// TestPriority: the next priority is used while all of the first are down.
func TestPriority(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{Name: "dns"})
		at := netip.MustParseAddrPort
		all := []server{{at("10.0.0.1:80"), 1, 3}, {at("10.0.0.2:80"), 1, 0}, {at("10.0.0.3:80"), 2, 0}, {at("10.0.0.4:80"), 2, 0}}
		s.look = func(context.Context) (answer, error) { return answer{all, time.Hour}, nil }
		state := func(states ...members.State) func() {
			return func() {
				var table []members.Member
				for i, state := range states {
					table = append(table, members.Member{ID: all[i].at.String(), State: state})
				}
				s.Update(table)
			}
		}
		d, r := members.Down, members.Ready
		got := told(t, s, 100*time.Second, map[int]func(){
			1: state(d, r, r, r), 2: state(d, d, r, r), 3: state(d, d, d, r), 4: state(r, d, d, r), 5: state(d, d, d, d),
		})
		want := `0 10.0.0.1:80*3 10.0.0.2:80*0.1 10.0.0.3:80*0 10.0.0.4:80*0
2 10.0.0.1:80*0 10.0.0.2:80*0 10.0.0.3:80*1 10.0.0.4:80*1
4 10.0.0.1:80*3 10.0.0.2:80*0.1 10.0.0.3:80*0 10.0.0.4:80*0`
		if got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	})
}
