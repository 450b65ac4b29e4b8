package dns

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/supervisor/fleet"
)

// Options say what is looked up.
type Options struct {
	Name   string // of the source, as events call it
	Target string // host:port, or the name of a service as _http._tcp.web.internal. It passes Check
	Server string // IP:port that is asked; "": those of /etc/resolv.conf
	Type   string // of the members
}

// Check says what is wrong with a target.
func Check(target string) error {
	name, service := target, strings.HasPrefix(target, "_")
	if !service {
		host, port, err := net.SplitHostPort(target)
		if n, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || n == 0 {
			return fmt.Errorf("%q is not a name to look up: write host:port, or a service such as _http._tcp.web.internal", target)
		}
		if _, err := netip.ParseAddr(host); err == nil {
			return fmt.Errorf("%q has an IP, which needs no look-up: write it in members", target)
		}
		name = host
	}
	if labels, ok := dns.IsDomainName(name); !ok || name == "" || service && labels < 3 {
		return fmt.Errorf("%q is not a name to look up: write host:port, or a service such as _http._tcp.web.internal", target)
	}
	return nil
}

const (
	// soonest and latest bound the time until a name is looked up again.
	soonest, latest = time.Second, 5 * time.Minute
	// lookTime bounds one look-up, all its questions together.
	lookTime = 5 * time.Second
	// mostRetry bounds the time between look-ups that fail.
	mostRetry = 30 * time.Second
	// mostServers bounds the servers of one name.
	mostServers = 1000
)

// Source looks one name up. Make one with New.
type Source struct {
	options Options
	look    func(ctx context.Context) (answer, error)
	news    chan struct{}

	mu   sync.Mutex
	down map[string]bool // IDs of members that are down, as the gateway's table has it
}

// answer is what a look-up has found.
type answer struct {
	servers []server // in order, each address once
	ttl     time.Duration
}

// server is one server of a name.
type server struct {
	at               netip.AddrPort
	priority, weight uint16
}

// New makes a Source.
func New(o Options) *Source {
	s := &Source{options: o, news: make(chan struct{}, 1), down: map[string]bool{}}
	s.look = resolver{o}.look
	return s
}

// Update says how the members of the gateway's table are, so that the next priority is used where all of one are down. It does not block.
func (s *Source) Update(all []members.Member) {
	down := map[string]bool{}
	for _, m := range all {
		if m.State == members.Down {
			down[m.ID] = true
		}
	}
	s.mu.Lock()
	s.down = down
	s.mu.Unlock()
	select {
	case s.news <- struct{}{}:
	default:
	}
}

// Run emits the members of the name until ctx is done: after each look-up in which they are others, and when another priority is used.
func (s *Source) Run(ctx context.Context, emit func(fleet.Event)) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var found answer
	var listed []members.Member
	retry, silent := soonest, false
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.news:
		case <-timer.C:
			one, cancel := context.WithTimeout(ctx, lookTime)
			newest, err := s.look(one)
			cancel()
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				emit(fleet.Silent{Source: s.options.Name, Why: err.Error()})
				silent = true
				timer.Reset(retry)
				retry = min(2*retry, mostRetry)
				continue
			}
			found, retry = newest, soonest
			timer.Reset(min(max(found.ttl, soonest), latest))
		}
		if found.servers == nil {
			continue
		}
		if list := s.members(found.servers); silent || !slices.Equal(list, listed) {
			listed, silent = list, false
			emit(fleet.Listed{Source: s.options.Name, Members: slices.Clone(list)})
		}
	}
}

// members makes members of servers: those of the first priority that is not all down have their weights.
func (s *Source) members(all []server) []members.Member {
	s.mu.Lock()
	down := s.down
	s.mu.Unlock()
	used := all[0].priority
	for i := range all {
		if !down[all[i].at.String()] {
			used = all[i].priority
			break
		}
	}
	weights := 0.0
	for _, v := range all {
		if v.priority == used {
			weights += float64(v.weight)
		}
	}
	list := make([]members.Member, len(all))
	for i, v := range all {
		m := members.Member{ID: v.at.String(), Type: s.options.Type, Address: v.at.String(), State: members.Ready}
		switch {
		case v.priority != used:
		case weights == 0:
			m.Weight = 1
		case v.weight == 0:
			m.Weight = 0.1
		default:
			m.Weight = float64(v.weight)
		}
		list[i] = m
	}
	return list
}
