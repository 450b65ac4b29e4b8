package estate

import (
	"cmp"
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/handle"
	"github.com/tinehq/tine/supervisor/listen"
	"github.com/tinehq/tine/supervisor/proc"
	"github.com/tinehq/tine/supervisor/record"
	"github.com/tinehq/tine/supervisor/succession"
)

// helloWait bounds the wait for what workers say of themselves.
const helloWait = 2 * time.Second

// rescued is what has to be done about the workers that could not be adopted.
type rescued struct {
	lost   []succession.LeftWorker
	ending int            // of them
	config *config.Config // applied when all have ended: until then they may hold its addresses
}

// rescue adopts what it can of what the last master has left, as why says that its record cannot be used: see
// [succession.Rescue]. Where that is nothing it ends the workers, and all starts anew.
func (e *Estate) rescue(config *config.Config, why error) (Inheritance, error) {
	var err error
	if e.ledger.record, err = record.New(e.ledger.file); err != nil {
		return Inheritance{}, errors.Join(why, err)
	}
	workers := e.askLeft()
	names := slices.Collect(maps.Keys(e.inherited))
	plan := succession.PlanRescue(ipc.Monotonic(), e.wanted(config), names, workers)
	in := Inheritance{Config: config}
	if len(plan.State.Apps) > 0 {
		left := e.leftFiles(plan.State)
		for _, w := range plan.Lost {
			delete(left, w.Name()) // its end is not that of its lifeline alone: see endLost
		}
		adopted, err := e.adopt(plan.State, left, config)
		if in = adopted; err != nil {
			why = errors.Join(why, err)
			in = Inheritance{Config: config}
			plan = succession.PlanRescue(ipc.Monotonic(), nil, names, workers) // nothing is adopted
		}
	}
	e.keys = max(e.keys, plan.State.Keys) // else what is made anew has the names of what is being ended
	e.rescued = &rescued{lost: plan.Lost, config: config}
	e.drop(plan.Drop)
	line := e.logs.Error().Err(why).Int("workers", len(workers)).Int("lost", len(plan.Lost))
	if len(in.Apps) > 0 {
		line.Msg("cannot use the record of the last master: its workers are replaced one by one, those that are lost end")
		return in, nil
	}
	line.Msg("cannot use the record of the last master, nor anything else that it has left: its workers end, and all starts anew")
	for _, end := range e.endLost() {
		<-end
	}
	e.rescued = nil
	e.startBarrier() // else the store may still hold the addresses
	return in, nil
}

// wanted are the apps of a config, each with the inherited sockets that are bound to its addresses. It may wait for a name server.
func (e *Estate) wanted(c *config.Config) (all []succession.WantedApp) {
	sockets := e.socketFiles()
	for _, a := range c.Apps {
		w := succession.WantedApp{Config: a, Pool: crew.PoolConfig(a), Fits: map[int]listen.Saved{}}
		addresses, err := e.given.Addresses(a)
		if err == nil {
			bare := listen.Saved{Slots: 1}
			for _, address := range addresses {
				bare.Addresses = append(bare.Addresses, listen.SaveAddress(address))
			}
			w.Exact = len(addresses) > 0 && !slices.ContainsFunc(addresses, func(a listen.Address) bool {
				return a.Network != "unix" && strings.HasSuffix(a.Addr, ":0")
			})
			for key, files := range sockets {
				files = maps.Clone(files)
				e.given.Lend(bare, files)
				if set, err := listen.Recover(files, addresses, 0); err == nil {
					w.Fits[key] = set
				}
			}
		}
		all = append(all, w)
	}
	return all
}

// askLeft finds the workers that the last master has left, and has each say what it is.
func (e *Estate) askLeft() (all []succession.LeftWorker) {
	for name, files := range e.inherited {
		if key, id, ok := succession.ParseWorkerName(name); ok && len(files) == handle.FilesOfWorker {
			all = append(all, succession.LeftWorker{Key: key, ID: id})
		}
	}
	var asking sync.WaitGroup
	for i := range all {
		w := &all[i]
		files := e.inherited[w.Name()]
		asking.Go(func() {
			w.PID = proc.PIDOf(files[1])
			w.Hello = askHello(files[0])
		})
	}
	asking.Wait()
	return all
}

// askHello has a worker introduce itself on a channel that is good for nothing else. It is empty where the worker does not, in time.
func askHello(lifeline *os.File) ipc.Hello {
	line, err := ipc.OpenLifeline(lifeline)
	if err != nil {
		return ipc.Hello{}
	}
	conn, err := line.Renew()
	if err != nil {
		return ipc.Hello{}
	}
	defer conn.Close()
	if err := conn.SetReadDeadline(time.Now().Add(helloWait)); err != nil {
		return ipc.Hello{}
	}
	frame, err := conn.Read()
	if err != nil {
		return ipc.Hello{}
	}
	hello, ok := frame.(ipc.Hello)
	if !ok {
		ipc.Discard(frame)
	}
	return hello
}

// EndLost ends the workers that a rescue could not adopt, and has the loop apply the config when they have ended. It reports whether
// there was a rescue.
func (e *Estate) EndLost() bool {
	if e.rescued == nil {
		return false
	}
	if len(e.endLost()) == 0 {
		e.loop.GoOnWith(e.rescued.config)
	}
	return true
}

// endLost tells the workers that cannot be adopted to end, and reads what they still print. One that serves finishes what it has:
// its time is the longest that an app has.
func (e *Estate) endLost() (ends []<-chan struct{}) {
	patience := time.Duration(0)
	for _, c := range e.rescued.config.Apps {
		patience = max(patience, c.DrainDelay+c.DrainTimeout+c.KillAfter)
	}
	for _, lost := range e.rescued.lost {
		name := lost.Name()
		m := &crew.Worker{App: &crew.App{Name: cmp.Or(lost.Hello.App, "lost"), Key: lost.Key}, ID: lost.ID, Slot: lost.Hello.Slot}
		if lost.PID == 0 || e.reachLost(m, lost.PID, e.inherited[name]) != nil { // it has ended
			e.Remove(name)
			continue
		}
		line(e.logs.Warn(), m).Str("state", string(lost.Hello.State)).Msg("ending a worker that cannot be adopted")
		p := m.Process()
		_ = p.Terminate()
		ends = append(ends, p.Exited())
		e.rescued.ending++
		e.loop.Go(func() {
			select {
			case <-p.Exited():
			case <-time.After(patience):
				_ = p.Kill()
				<-p.Exited()
			}
			e.loop.Post(lostEnded{name})
			<-p.OutputDone()
		})
	}
	return ends
}

// reachLost makes the process of a worker this master's that is to be ended.
func (e *Estate) reachLost(m *crew.Worker, pid int, files []*os.File) (err error) {
	o := e.crew.Starter().Options(m)
	o.Post = func(handle.Fact) bool { return true } // that it is suspended changes nothing
	m.Worker, err = handle.AdoptProcess(pid, files, e.exitOf(pid), o)
	return err
}

// lostEnded: the process of a worker that could not be adopted has ended.
type lostEnded struct{ name string }

func (l lostEnded) Act(e *Estate) {
	e.Remove(l.name)
	if e.rescued == nil {
		return
	}
	if e.rescued.ending--; e.rescued.ending == 0 {
		e.loop.GoOnWith(e.rescued.config)
	}
}
