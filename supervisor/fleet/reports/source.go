package reports

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"path/filepath"
	"sync"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/supervisor/fleet"
	"github.com/tinehq/tine/supervisor/fleet/checks"
	"github.com/tinehq/tine/supervisor/fleet/rounds"
)

// Options say what is asked.
type Options struct {
	Question members.Question // it passes its Check. Without a URL: that of another Tine at the member's address
	Rounds   rounds.Options
	Warn     func(string) // optional; called by any goroutine
}

// Source asks members. Make one with New; Update has the members.
type Source struct {
	*rounds.Rounds
	options Options
	client  *http.Client
	epoch   uint64

	mu    sync.Mutex
	known map[string]*answered // by ID
}

// answered is what a member has answered before.
type answered struct {
	sequence uint64 // of our reports
	said     *members.Report
	fault    string // of the last answer; "": none
}

// socket is the key of the path of a Unix socket in a context: a connection is made to that.
type socket struct{}

// New makes a Source without members.
func New(o Options) *Source {
	if o.Question.URL == "" {
		o.Question.URL = "http://{address}" + Path
	}
	transport := &http.Transport{
		MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute, DisableCompression: true, MaxResponseHeaderBytes: 64 << 10,
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			if path, is := ctx.Value(socket{}).(string); is {
				address = path
			}
			return checks.Dial(ctx, address)
		},
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Source{
		Rounds: rounds.New(o.Rounds), options: o, epoch: uint64(ipc.Monotonic()), known: map[string]*answered{},
		client: &http.Client{Transport: transport, CheckRedirect: stay},
	}
}

// Update makes all the members that are asked: see rounds.Rounds. What was known of others is forgotten.
func (s *Source) Update(all []members.Member) {
	s.mu.Lock()
	before := s.known
	s.known = make(map[string]*answered, len(all))
	for _, m := range all {
		s.known[m.ID] = cmp.Or(before[m.ID], &answered{})
	}
	s.mu.Unlock()
	s.Rounds.Update(all)
}

// Run asks the members until ctx is done. It calls emit from several goroutines.
func (s *Source) Run(ctx context.Context, emit func(fleet.Event)) {
	defer s.client.CloseIdleConnections()
	s.Rounds.Run(ctx, func(ctx context.Context, m members.Member) {
		r, err := s.ask(ctx, m)
		if errors.Is(ctx.Err(), context.Canceled) {
			return
		}
		if s.take(m, &r, err) {
			emit(fleet.Reported{ID: m.ID, Report: r})
		}
	})
}

// ask asks one member. Its report has the member's own epoch and sequence.
func (s *Source) ask(ctx context.Context, m members.Member) (r members.Report, err error) {
	at, err := s.options.Question.For(&m)
	if err != nil {
		return r, err
	}
	if filepath.IsAbs(m.Address) {
		ctx = context.WithValue(ctx, socket{}, m.Address)
	}
	var sent, first time.Time
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteRequest:         func(httptrace.WroteRequestInfo) { sent = time.Now() },
		GotFirstResponseByte: func() { first = time.Now() },
	})
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return r, err
	}
	request.Close = filepath.IsAbs(m.Address) // all sockets have one name in URLs: a connection that is kept would be taken for that of another member
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", "Tine-Check")
	response, err := s.client.Do(request)
	if err != nil {
		return r, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, members.MaxAnswer+1))
	switch {
	case err != nil:
		return r, err
	case response.StatusCode != http.StatusOK:
		return r, fmt.Errorf("status %d: 200 is expected", response.StatusCode)
	case len(body) > members.MaxAnswer:
		return r, fmt.Errorf("its answer has more than %d bytes", members.MaxAnswer)
	}
	if r, err = s.options.Question.Read(body); err != nil {
		return r, err
	}
	r.ReceivedAt = ipc.Monotonic()
	if r.Stats == nil {
		r.Stats = map[members.Stat]members.Value{}
	}
	if _, told := r.Stats[members.RTT]; !told {
		r.Stats[members.RTT] = max(float64(first.Sub(sent))-float64(max(r.Hold, 0)), 0) / float64(time.Millisecond)
	}
	return r, nil
}

// take puts the epoch and sequence of this source into the report that an answer made. false: there is none, or it is not new.
func (s *Source) take(m members.Member, r *members.Report, err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.known[m.ID]
	if k == nil {
		return false // it has left
	}
	s.fault(m, k, err)
	if err != nil {
		return false
	}
	if len(s.options.Question.Stats) == 0 {
		if k.said != nil && k.said.Epoch == r.Epoch && k.said.Sequence >= r.Sequence {
			return false
		}
		k.said = &members.Report{Epoch: r.Epoch, Sequence: r.Sequence}
	}
	k.sequence++
	r.Epoch, r.Sequence = s.epoch, k.sequence
	return true
}

// fault tells what is wrong with the answer of a member, where it was not so before.
func (s *Source) fault(m members.Member, k *answered, err error) {
	text := ""
	if err != nil {
		text = reason(err)
	}
	if text == k.fault {
		return
	}
	if k.fault = text; text != "" && s.options.Warn != nil {
		s.options.Warn(fmt.Sprintf("member %s does not say how its load is: %s", m.ID, text))
	}
}

func reason(err error) string {
	if e := (*url.Error)(nil); errors.As(err, &e) {
		if e.Timeout() {
			return "no answer in time"
		}
		err = e.Err
	}
	return checks.Reason(err)
}
