package estate

import (
	"fmt"
	"maps"
	"os"
	"strings"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/apps"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/launch"
	"github.com/tinehq/tine/supervisor/listen"
	"github.com/tinehq/tine/supervisor/pool"
	"github.com/tinehq/tine/supervisor/succession"
)

// adopted is what is still to be done when the apps are made again: see Resume.
type adopted struct {
	state succession.State
	plan  succession.Adoption
	apps  []*crew.App // of plan.Apps
}

// adopt makes the apps again that the last master has left, with their sockets, as they were. left are the workers' files that it may
// use, and drop; config is what the last master ran with. After an error the sockets are as they were.
func (e *Estate) adopt(state succession.State, left succession.LeftFiles, config *config.Config) (in Inheritance, err error) {
	in.Config = config
	e.keys = state.Keys // also of an adoption that fails: else what is made anew has the names of what is being ended
	state.Date()
	plan, err := succession.PlanAdoption(state, left)
	if err != nil {
		return in, err
	}
	e.keys = plan.Keys
	all := map[int]*crew.Sockets{}
	defer func() {
		if err != nil {
			for _, s := range all {
				s.Leave()
			}
		}
	}()
	files := e.socketFiles()
	for _, saved := range plan.Sockets {
		if all[saved.Key], err = e.adoptSockets(saved, files[saved.Key], state.Apps[saved.App].Config.SteeringOptions()); err != nil {
			delete(all, saved.Key)
			return in, err
		}
	}
	drainAt, endBy := state.Stop.Restored()
	in.Restore = apps.Restore{Ready: state.WasReady, Stopping: state.Stopping, Asked: state.Asked, DrainAt: drainAt, EndBy: endBy}
	for _, p := range plan.Apps {
		var a *crew.App
		if p.Ended != nil {
			a, err = e.adoptEnded(*p.Ended)
		} else {
			a, err = e.adoptApp(*p.Running, all[p.Running.Sockets])
		}
		if err != nil {
			return in, err
		}
		in.Apps, in.Restore.Runs = append(in.Apps, a), append(in.Restore.Runs, p.Run)
	}
	e.adopted = &adopted{state, plan, in.Apps}
	e.closeAdopted()
	return in, nil
}

func (e *Estate) adoptSockets(saved succession.AdoptedSockets, files map[string]*os.File, o listen.Options) (*crew.Sockets, error) {
	if saved.Set.Bare { // what is there is for a version before this one, and stored nowhere
		hot, rows := listen.BoardNames()
		delete(files, hot)
		delete(files, rows)
	}
	o.Given = e.given.Sockets
	lent := map[string]*os.File{}
	maps.Copy(lent, files)
	e.given.Lend(saved.Set, lent)
	set, err := listen.Prepare(saved.Set, lent, o)
	if err != nil {
		return nil, err
	}
	s := crew.NewSockets(set)
	s.Key = saved.Key
	e.storedAlready(s, files)
	return s, nil
}

func (e *Estate) adoptApp(saved succession.App, s *crew.Sockets) (*crew.App, error) {
	config := saved.Config.Restored()
	core, err := pool.Restore(crew.PoolConfig(config), saved.Pool, time.Now(), since(saved.At))
	if err != nil {
		return nil, fmt.Errorf("cannot adopt app %s: %w", config.Name, err)
	}
	a := &crew.App{
		Key: saved.Key, Name: config.Name, Config: config, Pool: core, Sockets: s,
		Members: map[pool.WorkerID]*crew.Worker{}, StartWith: saved.StartWith,
	}
	a.RestoreHistory(saved.History)
	r := launch.Remembered{ByNumber: map[int]*launch.Generation{}, Previous: e.restoredRelease(saved.Previous), BackTo: e.restoredRelease(saved.BackTo)}
	for n, g := range saved.Generations {
		r.ByNumber[n] = e.restored(g)
	}
	if r.Previous != nil {
		r.Until = saved.Previous.Until
	}
	a.Releases = launch.RestoreReleases(e.pins, r, core.Status().Generation)
	s.Use()
	return a, nil
}

// adoptEnded makes an app that has ended again, as it is when its sockets are closed.
func (e *Estate) adoptEnded(saved succession.Ended) (*crew.App, error) {
	config := saved.Config.Restored()
	core, err := pool.Restore(crew.PoolConfig(config), saved.Pool, time.Now(), since(saved.At))
	if err != nil {
		return nil, fmt.Errorf("cannot adopt app %s, which has ended: %w", config.Name, err)
	}
	set, err := listen.Open(nil, 1, config.SteeringOptions()) // for what is shown of it
	if err != nil {
		return nil, fmt.Errorf("cannot adopt app %s, which has ended: %w", config.Name, err)
	}
	a := &crew.App{
		Key: saved.Key, Name: config.Name, Config: config, Pool: core, Sockets: crew.NewSockets(set),
		Members: map[pool.WorkerID]*crew.Worker{}, StartWith: saved.StartWith,
		Releases: launch.NewReleases(e.pins, core.Status().Generation, launch.New(config)),
	}
	a.RestoreHistory(saved.History)
	a.History.Err = saved.Error
	a.Sockets.Use()
	a.Sockets.Release()
	return a, nil
}

// since is how long ago something was, which is never in the future.
func since(at int64) time.Duration { return time.Duration(max(ipc.Monotonic()-at, 0)) }

func (e *Estate) restored(g succession.Generation) *launch.Generation {
	return launch.Restore(e.pins, launch.Left{Config: g.Config.Restored(), Command: g.Command, At: g.At, Back: g.Back}, e.inherited)
}

// restoredRelease is nil where nothing was kept.
func (e *Estate) restoredRelease(s *succession.Release) *launch.Generation {
	if s == nil || s.Command == nil {
		return nil
	}
	return e.restored(s.Generation)
}

// holdReleases opens the files of releases that the last master could not hold, or that its store has lost, if they are still
// those. Each has a goroutine of its own, as it may be on a disk that hangs.
func (e *Estate) holdReleases() {
	for _, a := range e.loop.Apps() {
		if !a.Ended() {
			a.Releases.Hold(e.loop.Go)
		}
	}
}

// removePins takes out of the store, and closes, what no release of this master has.
func (e *Estate) removePins() {
	for name, files := range e.inherited {
		if !strings.HasPrefix(name, launch.KeptPin) {
			continue
		}
		if !e.pins.Holds(name) {
			e.Remove(name)
		}
		closeFiles(files)
		delete(e.inherited, name)
	}
}
