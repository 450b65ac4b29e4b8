package reports

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/load"
	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/supervisor/fleet"
	"github.com/tinehq/tine/supervisor/fleet/checks"
	"github.com/tinehq/tine/supervisor/fleet/rounds"
)

// mostBytes bounds an answer.
const mostBytes = 1 << 20

// Options say what is asked.
type Options struct {
	// URL is that of each member, in which {id}, {host}, {port} and {address} (host:port) stand for its own. Default: http://{address}/v1/load
	URL string
	// Stats are the places of statistics in the answer, which is any JSON. nil: the answer is a load.Document.
	Stats  map[members.Stat]load.Number
	Rounds rounds.Options
	Warn   func(string) // optional; called by any goroutine
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
	said     load.Document
	heard    bool   // said is there
	fault    string // of the last answer; "": none
}

// CheckURL says what is wrong with the text of a URL.
func CheckURL(text string) error {
	u, err := url.Parse(expand(text, members.Member{ID: "id", Address: "host:1"}))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.ContainsAny(u.String(), "{}") || strings.Contains(u.String(), "%7B") {
		return fmt.Errorf("%q is not a URL for a member: write http:// or https://, in which {id}, {host}, {port} and {address} stand for those of the member", text)
	}
	return nil
}

// New makes a Source without members. The URL passes CheckURL.
func New(o Options) *Source {
	if o.URL == "" {
		o.URL = "http://{address}" + load.Path
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute, DisableCompression: true, MaxResponseHeaderBytes: 64 << 10}
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
		if k := before[m.ID]; k != nil {
			s.known[m.ID] = k
		}
	}
	s.mu.Unlock()
	s.Rounds.Update(all)
}

// Run asks the members until ctx is done. It calls emit from several goroutines.
func (s *Source) Run(ctx context.Context, emit func(fleet.Event)) {
	defer s.client.CloseIdleConnections()
	s.Rounds.Run(ctx, func(ctx context.Context, m members.Member) {
		a, err := s.ask(ctx, m)
		if errors.Is(ctx.Err(), context.Canceled) {
			return
		}
		if r := s.take(m, a, err); r != nil {
			emit(fleet.Reported{ID: m.ID, Report: *r})
		}
	})
}

// answer is what one member has answered.
type answer struct {
	document load.Document
	rtt      time.Duration
	at       int64
	fault    error // of one of the statistics; the others are there
}

func (s *Source) ask(ctx context.Context, m members.Member) (a answer, err error) {
	if host, _, err := net.SplitHostPort(m.Address); err != nil || host == "" {
		if strings.Contains(s.options.URL, "{host}") || strings.Contains(s.options.URL, "{port}") || strings.Contains(s.options.URL, "{address}") {
			return a, fmt.Errorf("its address %s has no host that could be asked", m.Address)
		}
	}
	var sent, first time.Time
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteRequest:         func(httptrace.WroteRequestInfo) { sent = time.Now() },
		GotFirstResponseByte: func() { first = time.Now() },
	})
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, expand(s.options.URL, m), nil)
	if err != nil {
		return a, err
	}
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", "Tine-Check")
	response, err := s.client.Do(request)
	if err != nil {
		return a, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, mostBytes+1))
	switch {
	case err != nil:
		return a, err
	case response.StatusCode != http.StatusOK:
		return a, fmt.Errorf("status %d: 200 is expected", response.StatusCode)
	case len(body) > mostBytes:
		return a, fmt.Errorf("the answer has more than %d bytes", mostBytes)
	}
	a.at, a.rtt = ipc.Monotonic(), max(first.Sub(sent), 0)
	if s.options.Stats == nil {
		a.document, err = load.Decode(body)
		return a, err
	}
	var any any
	if err := json.Unmarshal(body, &any); err != nil {
		return a, fmt.Errorf("the answer is not JSON: %w", err)
	}
	a.document.Stats = map[members.Stat]members.Value{}
	for stat, place := range s.options.Stats {
		switch v, err := place.In(any); {
		case err == nil:
			a.document.Stats[stat] = v
		case !errors.Is(err, load.ErrAbsent):
			a.fault = fmt.Errorf("%s: %w", stat, err)
		}
	}
	return a, nil
}

// take makes a report of an answer; nil: there is none, or it is not new.
func (s *Source) take(m members.Member, a answer, err error) *members.Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.known[m.ID]
	if k == nil {
		k = &answered{}
		s.known[m.ID] = k
	}
	s.fault(m, k, err, a.fault)
	if err != nil {
		return nil
	}
	if s.options.Stats == nil {
		d := a.document
		if k.heard && d.Epoch == k.said.Epoch && d.Sequence <= k.said.Sequence {
			return nil
		}
		k.said, k.heard = load.Document{Epoch: d.Epoch, Sequence: d.Sequence}, true
	}
	hold := time.Duration(a.document.HoldMS * float64(time.Millisecond))
	stats := a.document.Stats
	if stats == nil {
		stats = map[members.Stat]members.Value{}
	}
	if _, told := stats[members.RTT]; !told {
		stats[members.RTT] = float64(max(a.rtt-hold, 0)) / float64(time.Millisecond)
	}
	k.sequence++
	return &members.Report{Epoch: s.epoch, Sequence: k.sequence, ReceivedAt: a.at, Hold: int64(hold), Stats: stats}
}

// fault tells what is wrong with the answers of a member, where it was not so before.
func (s *Source) fault(m members.Member, k *answered, faults ...error) {
	text := ""
	for _, err := range faults {
		if err != nil {
			text = reason(err)
			break
		}
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

// expand puts what is the member's own into a URL.
func expand(text string, m members.Member) string {
	host, port, _ := net.SplitHostPort(m.Address)
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return strings.NewReplacer("{id}", url.PathEscape(m.ID), "{host}", host, "{port}", port, "{address}", m.Address).Replace(text)
}
