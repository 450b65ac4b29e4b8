package master

import (
	"strings"
	"testing"
	"time"

	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/journal"
	"github.com/tinehq/tine/supervisor/pool"
)

// TestLimitBelowNeed: a limit that the program reaches as soon as it is ready is said in the log and by the status, and
// replacements wait longer and longer; it serves meanwhile.
func TestLimitBelowNeed(t *testing.T) {
	m := startMaster(t, func(c *config.Config) { c.Apps[0].Workers = 1 })
	mark := m.lastEvent()
	recycle := func() {
		t.Helper()
		ask := make(chan struct{})
		m.s.post(inLoop{func(l *loop) {
			defer close(ask)
			for _, w := range l.find("web").InOrder() {
				if w.Talk.Serves() && !w.Over {
					w.Over = true
					l.step(w.App, pool.Recycle{ID: w.ID, Reason: "max rss: 31MiB, the limit is 20MiB"})
				}
			}
		}})
		<-ask
	}
	for range 3 {
		recycle()
		e := m.await(mark, of("web", pool.KindRecycle.String()))
		if e.Level != "info" || e.DelayMS != 0 {
			t.Errorf("%+v", e)
		}
		mark = m.await(e.ID, of("web", pool.KindReady.String())).ID
	}
	if a := m.app("web"); a.Error != "" {
		t.Errorf("after three: %s", a.Error)
	}
	recycle()
	e := m.await(mark, of("web", pool.KindRecycle.String()))
	if e.Level != "warn" || e.DelayMS != 1000 || e.Failures != 4 {
		t.Errorf("%+v", e)
	}
	a := m.app("web")
	if a.State != api.AppRunning || a.Ready != 1 || !strings.Contains(a.Error, "31MiB, the limit is 20MiB") || !strings.Contains(a.Error, "4 workers in a row") {
		t.Errorf("%+v", a)
	}
	m.s.logs.Settle(time.Minute)
	if !strings.Contains(m.log.String(), journal.HasteHint) {
		t.Error("the log has no hint")
	}
}
