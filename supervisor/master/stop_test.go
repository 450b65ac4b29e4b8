package master

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/eventually"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/succession"
)

// busy has one request in flight for a minute, in an app of m, and returns when a worker
// has it.
func (m *master) busy(app int) {
	m.t.Helper()
	st, err := m.s.Status()
	if err != nil {
		m.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	m.t.Cleanup(func() { cancel(); <-ended })
	request, err := http.NewRequestWithContext(ctx, "GET", "http://"+st.Apps[app].Listen[0]+"/?sleep=1m", nil)
	if err != nil {
		m.t.Fatal(err)
	}
	go func() {
		defer close(ended)
		c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		if res, err := c.Do(request); err == nil {
			res.Body.Close()
		}
	}()
	eventually.True(m.t, "a worker has the request", func() bool {
		st, err := m.s.Status()
		if err != nil {
			m.t.Fatal(err)
		}
		for _, load := range st.Apps[app].WorkerLoad {
			if load.InFlight > 0 {
				return true
			}
		}
		return false
	})
}

// TestStopIsInTime: requests that never end, hooks that take long and apps that wait for
// each other all find their end before somebody else ends them. Nobody is given less time
// than there is.
func TestStopIsInTime(t *testing.T) {
	const limit = 3 * time.Second
	for name, change := range map[string]func(*config.Config){
		"a request and a delay": func(c *config.Config) {
			c.StopDelay = time.Minute
		},
		"a hook": func(c *config.Config) {
			c.Apps[0].Hooks.BeforeDrain = config.Hook{Command: []string{"sleep", "60"}, Timeout: time.Minute}
		},
		"two apps, one after the other": func(c *config.Config) {
			gate := testApp("gate", c.Apps[0].Env["TEST_BEHAVIOUR"], 1)
			gate.DependsOn = map[string]string{"web": config.DependsReady}
			c.Apps = append(c.Apps, gate)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := startMaster(t, func(c *config.Config) {
				c.StopTimeout = limit
				change(c)
				for i := range c.Apps {
					c.Apps[i].KillAfter = 5 * time.Second
				}
			})
			for app := range m.s.config.Apps {
				m.busy(app)
			}
			began := time.Now()
			if err := m.s.Stop(); err != nil {
				t.Fatal(err)
			}
			if err := m.wait(); err != nil {
				t.Error(err)
			}
			took := time.Since(began)
			t.Logf("%s: stopped in %s", name, took)
			if took > limit {
				t.Errorf("the stop took %s, and there were %s", took, limit)
			}
			if took < limit/4 {
				t.Errorf("the stop took %s only: the request had a right to more", took)
			}
		})
	}
}

// TestStopHurriesWhatStops: an app that drains for an order of its own, and is held by its hook, has no more time than
// all the others.
func TestStopHurriesWhatStops(t *testing.T) {
	hook := config.Hook{Command: []string{"sleep", "60"}, Timeout: time.Minute}
	m := startMaster(t, func(c *config.Config) { c.StopTimeout, c.Apps[0].Hooks.BeforeDrain = 2*time.Second, hook })
	m.busy(0)
	ordered := make(chan struct{})
	go func() {
		defer close(ordered)
		_, _ = m.do(api.Order{Verb: api.VerbStop, App: "web"}) // that tine ends is no way to end this
	}()
	eventually.True(t, "the app stops", func() bool { return m.app("web").State == api.AppStopping })
	began := time.Now()
	if err := m.s.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := m.wait(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("the stop took %s", took)
	}
	<-ordered
}

// TestStopIsKept: a later master goes on with it.
func TestStopIsKept(t *testing.T) {
	none := succession.SaveStop(time.Time{}, time.Time{})
	if drainAt, endBy := none.Restored(); none != (succession.Stop{}) || !drainAt.IsZero() || !endBy.IsZero() {
		t.Errorf("%+v, %v, %v", none, drainAt, endBy)
	}
	drainAt, endBy := time.Now().Add(time.Second), time.Now().Add(time.Minute)
	drain, end := succession.SaveStop(drainAt, endBy).Restored()
	for name, d := range map[string]time.Duration{"drain": drain.Sub(drainAt), "end": end.Sub(endBy)} {
		if d.Abs() > time.Second {
			t.Errorf("%s: off by %s", name, d)
		}
	}
}
