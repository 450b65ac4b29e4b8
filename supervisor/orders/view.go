package orders

import (
	"time"

	"github.com/tinehq/tine/supervisor/apps"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/pool"
)

// Apps is what the book reads of the apps. Its methods change nothing, and tell what the effects that were carried out so far have
// brought about. They are called in Step alone.
type Apps interface {
	// Listed are the runs that an order can name, in the order of the config: one for each app.
	Listed() []apps.ID
	// App is false for a run that is not known any more.
	App(apps.ID) (App, bool)
	// Patience bounds what an order for a run may take: what the run may, and those may that it waits for.
	Patience(apps.ID) time.Duration
	// Trouble is why a run that waits does so, as in "waits: db is not ready".
	Trouble(apps.ID) string
	// Releases says whether a release before the one that runs is remembered, and whether a rollback has one to go back to.
	Releases(apps.ID) (previous, goBack bool)
	// Stopping says that the master was told to stop.
	Stopping() bool
}

// App is what an order depends on, of one run of an app.
type App struct {
	ID        apps.ID
	Name      string
	Namespace string
	State     apps.State
	Shown     apps.State // as people are told it: see [apps.Run.Shown]
	Halted    bool       // it leaves, or has ended, by an order: it stays listed until the next one
	NextBy    ID         // the order that brings its next run; 0: none
	Missing   string     // what it waits for, in words
	Code      int        // of its end
	Reason    string     // of its end

	OneShot   bool          // nothing of it is rolled
	Endless   bool          // a start that fails is tried again for ever
	Target    bool          // a gateway of this master passes requests on to it
	Shared    bool          // another run has the same sockets, and one of the two is about to leave
	Processes int           // workers that exist now
	Times     time.Duration // what it may take at most by its own config
	Pool      *pool.Pool    // for its queries
}

func (a App) ended() bool { return a.State.Ended() }

// shown is Shown with what this Step has ordered already.
func (a App) shown() apps.State {
	if a.NextBy != 0 && a.Shown != apps.Stopping {
		return apps.Running
	}
	return a.Shown
}

// words are the states in a sentence: the app is ...
var words = map[apps.State]string{
	apps.Running:  api.AppRunning,
	apps.Waiting:  api.AppWaiting,
	apps.Stopping: api.AppStopping,
	apps.Stopped:  api.AppStopped,
	apps.Finished: api.AppFinished,
	apps.Failed:   "not running: its start gave up",
}
