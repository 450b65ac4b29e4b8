package supervisor

import (
	"time"

	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/pool"
)

// standing is how an app stands for all that waits until all is started: READY=1, Supervisor.Ready, `tine start`, the log, the status that is
// told above. There is one definition of settled and of failed, and it looks at what is, whichever way that came about.
type standing int

const (
	appComing  standing = iota // it is being started, tried again, or waits for apps that may come
	appServing                 // it was ready once; a one-shot app: it runs or was tried, and nobody waits for more
	appThrough                 // nothing of it is to be started: it has finished, was stopped or scaled to nothing, leaves, or waits for its time
	appFailed                  // it gave up, or waits for one that will not come by itself
)

// settled says whether nobody has to wait for the app any more.
func (s standing) settled() bool { return s != appComing }

// appFacts are what the standing of an app follows from.
type appFacts struct {
	state     string // of package control
	everReady bool
	leaving   bool // somebody has told it to stop
	blocked   bool // what it waits for will not come by itself
	later     bool // it waits for its time
	oneShot   bool
	tried     bool // it has a process, or the start of one has failed
	wanted    int  // workers
}

// standing is a pure function of the facts.
func (f appFacts) standing() standing {
	switch f.state {
	case control.AppGaveUp:
		return appFailed
	case control.AppFinished, control.AppStopped:
		return appThrough
	case control.AppStopping:
		if f.leaving {
			return appThrough
		}
		return appComing // it ends by itself, and then it is known how
	case control.AppWaiting:
		switch {
		case f.blocked:
			return appFailed
		case f.later:
			return appThrough
		}
		return appComing
	}
	switch {
	case f.everReady, f.oneShot && f.tried:
		return appServing
	case f.wanted == 0:
		return appThrough
	}
	return appComing
}

func (a *app) standing() standing {
	st := a.pool.Status()
	f := appFacts{state: a.state(), everReady: a.everReady, leaving: a.leaving, blocked: a.blocked, later: a.awaitsTime(), oneShot: a.config.OneShot, wanted: st.Wanted}
	if f.oneShot {
		f.tried = tried(st)
	}
	return f.standing()
}

// tried says whether the start of some worker has had an outcome.
func tried(st pool.Status) bool {
	for _, slot := range st.Slots {
		if slot.Failures > 0 || slot.Finished {
			return true
		}
		for _, w := range slot.Workers {
			if w.PID != 0 {
				return true
			}
		}
	}
	return false
}

// judgeReady closes Ready when no app is waited for any more. It is asked after whatever may have settled one. Where
// all apps have ended and the master is about to, there is nobody who could be told ready.
func (l *loop) judgeReady() {
	if l.wasReady || l.stopping {
		return
	}
	some := false
	var lost []string
	for _, a := range l.apps {
		if a.unjudged {
			a.stands, a.unjudged = a.standing(), false
		}
		s := a.stands
		if !s.settled() {
			return
		}
		some = some || s == appServing
		if s == appFailed {
			lost = append(lost, a.name)
		}
	}
	if !some && l.ended() {
		return
	}
	// A client that has waited for this connects now, and is to find every slot open.
	l.steerAll()
	l.wasReady = true
	l.saveState() // a master that takes over has to tell it again
	close(l.s.ready)
	l.tellReady()
	took := ms(time.Since(l.startedAt))
	if len(lost) > 0 {
		l.logs.Warn().Float64("took_ms", took).Int("failed", len(lost)).Strs("apps", lost[:min(len(lost), maxLost)]).Msg("ready, but for apps that have failed")
		return
	}
	l.logs.Info().Float64("took_ms", took).Msg("all workers are ready")
}

// maxLost bounds the apps that one line names.
const maxLost = 20
