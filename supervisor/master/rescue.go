package master

import (
	"cmp"
	"errors"
	"maps"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/handle"
	"github.com/tinehq/tine/supervisor/listen"
	"github.com/tinehq/tine/supervisor/pool"
	"github.com/tinehq/tine/supervisor/proc"
	"github.com/tinehq/tine/supervisor/succession"
)

// A record that cannot be read, or is of a version that this master does not know, says
// nothing about the workers. But they can be asked, over their lifelines, and the sockets
// say where they listen:
//
//	worker.APP.ID   ── hello ──▶  app's name, slot, seat, state
//	sockets.KEY.*   ── bound to ─▶ the addresses of an app of the config
//
// Those that serve are adopted with the slots that they have, and replaced one by one, as
// in a rollout, since what they are is not known. The others are told to end.

const (
	// helloWait bounds the wait for what workers say of themselves.
	helloWait    = 2 * time.Second
	rescueReason = "the record of the last master is lost"
)

// leftWorker is one that the last master has left.
type leftWorker struct {
	name  string // of its files
	key   int    // of its app
	id    pool.WorkerID
	pid   int
	files []*os.File
	hello ipc.Hello // empty: it has not said any
}

// serves says whether it can be adopted. What it says of itself it may make up: what cannot be is
// nothing that others could be adopted by.
func (f *leftWorker) serves() bool {
	h := f.hello
	return f.pid > 0 && h.State == ipc.StateReady && h.Worker == uint64(f.id) &&
		h.Slot >= 0 && h.Slot < pool.MaxSlots && h.Slot < ipc.MaxSlots && h.Seat >= 0 && h.Seat < ipc.Seats && h.Generation < math.MaxInt32
}

// rescued is what has to be done about the workers that could not be adopted.
type rescued struct {
	lost   []*leftWorker
	ending int            // of them
	config *config.Config // applied when all have ended: until then they may hold its addresses
}

// rescue adopts what it can of what the last master has left, as why says that its record
// cannot be used. Where that is nothing it ends the workers and starts anew.
func (l *loop) rescue(config *config.Config, why error) (err error) {
	l.forgetApps()
	if err = l.estate.NewRecord(); err != nil {
		return errors.Join(why, err)
	}
	workers := l.askLeft()
	state, adopted := l.rescuedState(config, workers)
	l.estate.SetKeys(state.Keys) // else what is made anew has the names of what is being ended
	if len(state.Apps) > 0 {
		if err := l.adopt(state, config); err != nil {
			why = errors.Join(why, err)
			adopted, state.Apps = nil, nil
			l.forgetApps()
		}
	}
	l.rescued = &rescued{config: config}
	for _, f := range workers {
		if !adopted[f.name] {
			l.rescued.lost = append(l.rescued.lost, f)
		}
	}
	for _, name := range slices.Collect(maps.Keys(l.s.inherited)) {
		if strings.HasPrefix(name, succession.SocketsPrefix) && !adopted[name] {
			l.estate.Remove(name)
			for _, f := range l.s.inherited[name] {
				f.Close()
			}
			delete(l.s.inherited, name)
		}
	}
	e := l.logs.Error().Err(why).Int("workers", len(workers)).Int("lost", len(l.rescued.lost))
	if len(state.Apps) > 0 {
		e.Msg("cannot use the record of the last master: its workers are replaced one by one, those that are lost end")
		return nil
	}
	e.Msg("cannot use the record of the last master, nor anything else that it has left: its workers end, and all starts anew")
	for _, end := range l.endLost(config) {
		<-end
	}
	l.rescued = nil
	l.estate.StartBarrier() // else the store may still hold the addresses
	return l.open(config)
}

// rescuedState makes a record of what is there, and names the files that it is about.
func (l *loop) rescuedState(config *config.Config, workers []*leftWorker) (state succession.State, adopted map[string]bool) {
	state = succession.State{Version: succession.Version, At: ipc.Monotonic(), WasReady: true}
	for name := range l.s.inherited {
		for _, prefix := range []string{succession.SocketsPrefix, succession.WorkerPrefix} {
			if key, _, ok := numberAfter(name, prefix); ok {
				state.Keys = max(state.Keys, key)
			}
		}
	}
	adopted = map[string]bool{}
	for _, c := range config.Apps {
		own := slices.DeleteFunc(slices.Clone(workers), func(f *leftWorker) bool { return f.hello.App != c.Name || !f.serves() })
		saved, sockets, ok := l.rescueApp(&state, c, own)
		if !ok {
			state.WasReady = false
			continue // what it has is ended, and it is started as if it was new
		}
		state.Apps, state.Sockets = append(state.Apps, saved), append(state.Sockets, sockets)
		state.WasReady = state.WasReady && len(own) >= c.Slots()
		for name := range l.s.inherited {
			if key, _, ok := numberAfter(name, succession.SocketsPrefix); ok && key == sockets.Key {
				adopted[name] = true
			}
		}
		for _, f := range own {
			adopted[f.name] = true
		}
	}
	return state, adopted
}

// rescueApp is false where the app has nothing that it could go on with.
func (l *loop) rescueApp(state *succession.State, c config.App, own []*leftWorker) (saved succession.App, s succession.Sockets, ok bool) {
	slots, generation := 0, 0
	for _, f := range own {
		slots = max(slots, f.hello.Slot+1)
		generation = max(generation, int(f.hello.Generation))
	}
	s.Key, s.Set, ok = l.rescueSockets(state, c, own, slots)
	if !ok {
		return saved, s, false
	}
	cfg := crew.PoolConfig(c)
	cfg.FirstGeneration = generation + 1
	var serving []pool.Found
	for _, f := range own {
		serving = append(serving, pool.Found{ID: f.id, PID: f.pid, Slot: f.hello.Slot})
		saved.Key, saved.History.LastID = f.key, max(saved.History.LastID, f.id)
		saved.Members = append(saved.Members, succession.Member{
			ID: f.id, PID: f.pid, Slot: f.hello.Slot, Seat: f.hello.Seat, Generation: int(f.hello.Generation),
			Ready: true, Greeted: true,
		})
	}
	if saved.Key == 0 {
		state.Keys++
		saved.Key = state.Keys
	}
	saved.Sockets, saved.Config = s.Key, c
	saved.EverReady, saved.History.LastGeneration = len(own) > 0, cfg.FirstGeneration
	saved.Generations = map[int]succession.Generation{cfg.FirstGeneration: {Config: c}}
	saved.Pool = pool.Adopted(cfg, serving, rescueReason)
	for len(saved.Pool.Slots) < s.Set.Slots { // those that have sockets only are filled, or closed in order
		saved.Pool.Slots = append(saved.Pool.Slots, pool.SavedSlot{Generation: cfg.FirstGeneration})
	}
	saved.Pool.Claimed = min(len(saved.Pool.Slots), saved.Pool.Want)
	return saved, s, true
}

// rescueSockets finds those of an app. Its workers' key leads to them, as both get theirs
// together; else their address must be one that the config says to the port, as what is at
// any port may be another app's.
func (l *loop) rescueSockets(state *succession.State, c config.App, own []*leftWorker, slots int) (key int, set listen.Saved, ok bool) {
	addresses, err := l.given.Addresses(c)
	if err != nil {
		return 0, set, false
	}
	byKey := map[int]map[string]*os.File{}
	for name, files := range l.s.inherited {
		if key, file, ok := numberAfter(name, succession.SocketsPrefix); ok && len(files) > 0 {
			if byKey[key] == nil {
				byKey[key] = map[string]*os.File{}
			}
			byKey[key][file] = files[0]
		}
	}
	for _, s := range state.Sockets {
		delete(byKey, s.Key)
	}
	exact := len(addresses) > 0
	for _, a := range addresses {
		exact = exact && (a.Network == "unix" || !strings.HasSuffix(a.Addr, ":0"))
	}
	keys := slices.Sorted(maps.Keys(byKey))
	if len(own) > 0 {
		next := own[0].key + 1
		slices.SortStableFunc(keys, func(a, b int) int { return -cmp.Compare(btoi(a == next), btoi(b == next)) })
	}
	for _, key := range keys {
		if !exact && (len(own) == 0 || key != own[0].key+1) {
			continue
		}
		files := byKey[key]
		l.given.Lend(skeleton(addresses), files)
		if set, err := listen.Recover(files, addresses, slots); err == nil {
			set.Admitted = nil
			for _, f := range own {
				set.Admitted = append(set.Admitted, f.hello.Slot)
			}
			slices.Sort(set.Admitted)
			set.Admitted = slices.Compact(set.Admitted)
			return key, set, true
		}
	}
	return 0, set, false
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// skeleton has the addresses and nothing else.
func skeleton(addresses []listen.Address) listen.Saved {
	s := listen.Saved{Slots: 1}
	for _, a := range addresses {
		s.Addresses = append(s.Addresses, listen.SaveAddress(a))
	}
	return s
}

// askLeft finds the workers that the last master has left, and has each say what it is.
func (l *loop) askLeft() (all []*leftWorker) {
	for _, name := range slices.Sorted(maps.Keys(l.s.inherited)) {
		key, rest, ok := numberAfter(name, succession.WorkerPrefix)
		id, err := strconv.ParseUint(rest, 10, 64)
		files := l.s.inherited[name]
		if !ok || err != nil || len(files) != handle.FilesOfWorker {
			continue
		}
		all = append(all, &leftWorker{name: name, key: key, id: pool.WorkerID(id), files: files})
	}
	var asking sync.WaitGroup
	for _, f := range all {
		asking.Go(func() {
			f.pid = proc.PIDOf(f.files[1])
			f.hello = askHello(f.files[0])
		})
	}
	asking.Wait()
	return all
}

// askHello has a worker introduce itself on a channel that is good for nothing else.
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

// endLost ends the workers that cannot be adopted, and reads what they still print. One that
// serves finishes what it has: its time is the longest that an app has.
func (l *loop) endLost(config *config.Config) (ends []<-chan struct{}) {
	patience := time.Duration(0)
	for _, c := range config.Apps {
		patience = max(patience, c.DrainDelay+c.DrainTimeout+c.KillAfter)
	}
	for _, f := range l.rescued.lost {
		m := &crew.Worker{App: &crew.App{Name: cmp.Or(f.hello.App, "lost"), Key: f.key}, ID: f.id, Slot: f.hello.Slot}
		if f.pid == 0 || l.reachLost(m, f.pid, f.files) != nil { // it has ended
			l.estate.Remove(f.name)
			continue
		}
		l.worker(l.logs.Warn(), m).Str("state", string(f.hello.State)).Msg("ending a worker that cannot be adopted")
		_ = m.Process().Terminate()
		ends = append(ends, m.Process().Exited())
		l.rescued.ending++
		l.s.wg.Go(func() {
			select {
			case <-m.Process().Exited():
			case <-time.After(patience):
				_ = m.Process().Kill()
				<-m.Process().Exited()
			}
			l.s.post(lostEnded{f.name})
			<-m.Process().OutputDone()
		})
	}
	if l.rescued.ending == 0 && l.adopted == nil && len(l.apps) > 0 {
		l.goOnWith(config)
	}
	return ends
}

// reachLost makes the process of a worker ours that is to be ended.
func (l *loop) reachLost(m *crew.Worker, pid int, files []*os.File) (err error) {
	o := l.crew.Starter().Options(m)
	o.Post = func(handle.Fact) bool { return true } // that it is suspended changes nothing
	m.Worker, err = handle.AdoptProcess(pid, files, l.s.exitOf(pid), o)
	return err
}

type lostEnded struct{ name string }

func (e lostEnded) apply(l *loop) {
	l.estate.Remove(e.name)
	if l.rescued == nil {
		return
	}
	if l.rescued.ending--; l.rescued.ending == 0 {
		l.goOnWith(l.rescued.config)
	}
}

// numberAfter reads "PREFIXnumber.rest".
func numberAfter(name, prefix string) (n int, rest string, ok bool) {
	text, ok := strings.CutPrefix(name, prefix)
	if !ok {
		return 0, "", false
	}
	number, rest, ok := strings.Cut(text, ".")
	n, err := strconv.Atoi(number)
	return n, rest, ok && err == nil && n > 0
}
