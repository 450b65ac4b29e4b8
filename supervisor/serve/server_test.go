package serve

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/snapshot"
)

// aMaster shows a picture, and upgrades as long as it is let.
type aMaster struct {
	Master
	shown *snapshot.Master
	err   error
	begun chan string
	let   chan error
}

func (m *aMaster) Snapshot(context.Context) (*snapshot.Master, error) { return m.shown, m.err }

func (m *aMaster) Upgrade(ctx context.Context, binary string) error {
	m.begun <- binary
	select {
	case err := <-m.let:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// refusal is the status that err is refused with; 0: it is not a refusal.
func refusal(err error) int {
	var r *api.Refusal
	if errors.As(err, &r) {
		return r.Status
	}
	return 0
}

// TestEndedIsAnotherMastersTurn: over the control socket the end of a master is 503; a program that embeds it gets ErrEnded.
func TestEndedIsAnotherMastersTurn(t *testing.T) {
	s := New(&aMaster{err: ErrEnded}, Options{})
	if _, err := s.Commander().Status(t.Context()); !errors.Is(err, ErrEnded) {
		t.Errorf("%v", err)
	}
	if _, err := (endedCommander{s.Commander()}).Status(t.Context()); refusal(err) != http.StatusServiceUnavailable {
		t.Errorf("%v", err)
	}
}

// TestStatusIsTheCallers: what a caller changes in a status changes no other caller's.
func TestStatusIsTheCallers(t *testing.T) {
	shown := &snapshot.Master{Name: "web", KeeperPID: 7, StartedAt: time.Now().Add(-time.Minute), Succession: &api.Succession{After: 3}}
	c := New(&aMaster{shown: shown}, Options{Version: "v1"}).Commander()
	st, err := c.Status(t.Context())
	if err != nil || st.Name != "web" || st.Version != "v1" || st.KeeperPID != 7 || st.UptimeS < 60 || st.Apps == nil || st.Cache.Values == nil {
		t.Errorf("%+v, %v", st, err)
	}
	st.Succession.After = 4
	if shown.Succession.After != 3 {
		t.Error("the status shares its succession with the picture")
	}
}

// TestUpgradesAreRefused: orders that cannot be carried out begin nothing, and one is under way at a time.
func TestUpgradesAreRefused(t *testing.T) {
	m := &aMaster{begun: make(chan string), let: make(chan error)}
	order := func(s *Server, o api.Order) error {
		o.Verb = api.VerbUpgrade
		return s.Commander().Do(t.Context(), o, nil)
	}
	if err := order(New(m, Options{Binary: "/bin/true"}), api.Order{}); refusal(err) != http.StatusNotImplemented {
		t.Errorf("of a master that cannot: %v", err)
	}
	s := New(m, Options{Upgradable: true, Binary: "/bin/true", Preflight: func(_ context.Context, binary string) (string, error) {
		if binary == "/bin/other" {
			return "", errors.New("it is another program")
		}
		return "v2", nil
	}})
	for name, c := range map[string]struct {
		order api.Order
		want  int
	}{
		"of an app":         {api.Order{App: "web"}, http.StatusUnprocessableEntity},
		"by a relative one": {api.Order{Binary: "tine"}, http.StatusUnprocessableEntity},
		"by another one":    {api.Order{Binary: "/bin/other"}, http.StatusUnprocessableEntity},
	} {
		if err := order(s, c.order); refusal(err) != c.want {
			t.Errorf("%s: %v, wanted %d", name, err, c.want)
		}
	}
	first := make(chan error, 1)
	go func() { first <- order(s, api.Order{}) }()
	if binary := <-m.begun; binary != "/bin/true" {
		t.Errorf("upgraded to %s", binary)
	}
	if err := order(s, api.Order{}); refusal(err) != http.StatusConflict {
		t.Errorf("a second one: %v", err)
	}
	m.let <- nil
	if err := <-first; err != nil {
		t.Error(err)
	}
	go func() { first <- order(s, api.Order{}) }()
	<-m.begun
	stopping := errors.New("the master stops")
	s.CallOff(stopping)
	if err := <-first; !errors.Is(err, stopping) {
		t.Errorf("called off: %v", err)
	}
	<-s.CalledOff()
	s.EndUpgrades()
}
