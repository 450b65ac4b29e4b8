package supervisor

import (
	"fmt"
	"time"

	"github.com/tinehq/tine/supervisor/apps"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/launch"
	"github.com/tinehq/tine/supervisor/listen"
	"github.com/tinehq/tine/supervisor/pool"
)

// savedEnded is an app that has ended, by itself or by an order, and is still listed. The
// next master must know it, or it would start it as one that the config has and nobody
// runs: a one-shot app would do its work again.
type savedEnded struct {
	Key       int          `json:"key,omitempty"` // 0: of a version that gave it none
	Place     int          `json:"place"`         // among all apps
	Config    config.App   `json:"config"`
	Pool      pool.Saved   `json:"pool"`
	Halted    bool         `json:"halted,omitempty"`
	Ordered   bool         `json:"ordered,omitempty"`
	EverReady bool         `json:"ever_ready,omitempty"`
	Added     bool         `json:"added,omitempty"`
	StartWith int          `json:"start_with,omitempty"`
	Code      int          `json:"code,omitempty"`
	Reason    string       `json:"reason,omitempty"`
	Error     string       `json:"error,omitempty"`
	History   savedHistory `json:"history"`
	NextRun   time.Time    `json:"next_run,omitzero"` // by its schedule

	at int64 // of when it is, as ipc.Monotonic has it
}

// savedEnded is of an app that stays so. One that an order is about to start again is left out: the next master starts it,
// as it is in the config.
func (l *loop) savedEnded(a *app, now time.Time) savedEnded {
	code, reason := a.run.Exit()
	return savedEnded{
		Key: a.key, Place: a.place, Config: a.config, Pool: a.pool.Snapshot(now), Halted: a.halted(), Ordered: a.run.Origin() == apps.FromOrder,
		EverReady: a.run.EverReady(), Added: a.run.Origin() != apps.FromStart, StartWith: a.startWith,
		Code: code, Reason: reason, Error: a.history.error, History: a.savedHistory(), NextRun: a.run.NextRun(),
	}
}

// adoptEnded makes it again, as it is when its sockets are closed.
func (l *loop) adoptEnded(saved savedEnded, ago time.Duration) (*app, error) {
	config := saved.Config.Restored()
	core, err := pool.Restore(poolConfig(config), saved.Pool, time.Now(), ago)
	if err != nil {
		return nil, fmt.Errorf("cannot adopt app %s, which has ended: %w", config.Name, err)
	}
	set, err := listen.Open(nil, 1, config.SteeringOptions()) // for what is shown of it
	if err != nil {
		return nil, fmt.Errorf("cannot adopt app %s, which has ended: %w", config.Name, err)
	}
	if saved.Key == 0 {
		saved.Key = l.newKey()
	}
	a := &app{
		key: saved.Key, name: config.Name, config: config, pool: core, sockets: newSockets(set),
		members:     map[pool.WorkerID]*member{},
		generations: map[int]*launch.Generation{core.Status().Generation: launch.New(config)},
		startWith:   saved.StartWith,
	}
	a.restoreHistory(saved.History)
	a.history.error = saved.Error
	a.sockets.users++
	a.sockets.release()
	return a, nil
}
