package orders

import (
	"net/http"
	"time"

	"github.com/tinehq/tine/supervisor/apps"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/pool"
)

// beginPause has gateways hold the requests to an app, or pass them on again. That is done when the pool knows of it: nothing of the app
// changes by it. An app that waits or is being started can be paused too.
func (b *Book) beginPause(o *order, a App) error {
	if a.shown() != apps.Waiting && a.Pool.Phase() != pool.PhaseIdle {
		if err := b.mustRun(o, a); err != nil {
			return err
		}
	}
	switch _, held := a.Pool.RequestsHeld(b.now); {
	case !a.Target && !held:
		return api.Refuse(http.StatusConflict, "cannot %s app %s: no gateway passes requests on to it", o.Verb, a.Name)
	case o.Verb == api.VerbResume:
		b.emit(Pool{a.ID, pool.PassRequests{Reason: o.because("resume")}})
	case o.ForMS < 0 || o.ForMS > float64(api.MaxPause/time.Millisecond):
		return api.WrongField("for_ms", "requests can be held for 0, which is until a resume, to %d ms, not %v", api.MaxPause.Milliseconds(), o.ForMS)
	default:
		b.emit(Pool{a.ID, pool.HoldRequests{For: time.Duration(o.ForMS * float64(time.Millisecond)), Reason: o.because("pause")}})
	}
	if o.alone {
		b.emit(Begun{o.request, 1})
	}
	b.end(o, done, nil)
	return nil
}
