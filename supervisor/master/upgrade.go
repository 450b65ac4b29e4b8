package master

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"slices"
	"time"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/estate"
	"github.com/tinehq/tine/supervisor/handle"
	"github.com/tinehq/tine/supervisor/listen"
	"github.com/tinehq/tine/supervisor/succession"
)

// Upgrader starts another program in the place of this one: see package handover, whose
// Upgrader is one.
type Upgrader interface {
	// Upgrade returns nil when binary is in charge. give is called once it is prepared.
	Upgrade(ctx context.Context, binary string, give func() (map[string][]*os.File, error)) error
}

// WithUpgrader makes Upgrade possible. WithStore is needed too.
func WithUpgrader(u Upgrader) Option { return func(o *options) { o.upgrader = u } }

// ErrUpgraded is what Run returns when another master is in charge: this process is to
// end, and to leave everything as it is.
var ErrUpgraded = errors.New("another master is in charge")

var errStopping = errors.New("this master is stopping")

// Upgrade replaces this master by binary, an absolute path, with its workers as they are. It
// returns nil when the new master is in charge; Run returns ErrUpgraded then. After an
// error everything is as it was. While the new master takes over, for some ms, and for at
// most 10 s if it hangs, nobody heals.
func (s *Supervisor) Upgrade(ctx context.Context, binary string) error {
	if s.upgrader == nil || s.store == nil {
		return errors.New("cannot upgrade: this master was not started in a way that makes it possible")
	}
	began := time.Now()
	var result chan error // told how it ended, once the loop has let go
	err := s.upgrader.Upgrade(ctx, binary, func() (map[string][]*os.File, error) {
		answer := newAnswer[letting]()
		wait := make(chan error, 1)
		if err := s.order(letGo{answer: answer, result: wait}); err != nil {
			return nil, err
		}
		select {
		case a := <-answer:
			result = wait
			return a.files, a.err
		case <-s.done:
			return nil, ErrEnded
		}
	})
	if result != nil {
		result <- err
	}
	s.post(upgradeEnded{binary, time.Since(began), err})
	return err
}

// letGo has the loop give everything away, and stand still until it is told how that
// ended: two masters that decide would be worse than none.
type letGo struct {
	answer chan<- letting
	result <-chan error
}

type letting struct {
	files map[string][]*os.File
	err   error
}

func (m letGo) apply(l *loop) {
	if l.state.Stopping() {
		m.answer <- letting{err: errStopping}
		return
	}
	if l.s.published.Newest().Lifeless() == nil {
		l.report.Ping()
	}
	err := l.hearOut()
	if err == nil {
		err = l.estate.Settle()
	}
	var files map[string][]*os.File
	if err == nil {
		files, err = l.giveAway()
	}
	m.answer <- letting{files, err}
	if err == nil {
		err = l.standStill(m.result)
	}
	for _, fs := range files {
		estate.CloseFiles(fs)
	}
	if err != nil {
		l.takeBack()
		return
	}
	l.estate.SetLeft()
	for m := range l.allMembers() {
		m.Forget()
	}
}

// standStill waits for how the upgrade has ended, which the Upgrader bounds. systemd's watchdog may be shorter than that wait,
// so the loop goes on to give signs of life.
func (l *loop) standStill(result <-chan error) error {
	if l.report.Interval() <= 0 {
		return <-result
	}
	again := time.NewTicker(l.report.Interval())
	defer again.Stop()
	for {
		select {
		case err := <-result:
			return err
		case <-again.C:
			if l.s.published.Newest().Lifeless() == nil {
				l.report.Ping()
			}
		}
	}
}

const (
	// lastSaid bounds the wait for what the workers had said already when their channels
	// were ended, and for those that are being started.
	lastSaid = time.Second
	// lastOutput bounds the wait for what they have printed and was read to be written.
	lastOutput = 2 * time.Second
)

// hearOut ends the channels from this side, and acts on what the workers have said on
// them until they have seen that. What this side had not sent yet the next master says:
// the values and the orders that hold. It fails while a worker is being started, which
// nobody else would know of.
func (l *loop) hearOut() error {
	var ending []*crew.Worker
	until := time.Now().Add(lastSaid) // for all of them together
	for m := range l.channels() {
		m.HearOut(time.Until(until), m.Greeting)
		ending = append(ending, m)
	}
	late := time.NewTimer(lastSaid)
	defer late.Stop()
	for l.crew.Starting() > 0 || slices.ContainsFunc(ending, func(m *crew.Worker) bool { return m.Hearing() }) {
		select {
		case m := <-l.s.inbox:
			m.apply(l)
		case <-late.C:
			for _, m := range ending {
				m.StopHearing()
			}
			if l.crew.Starting() > 0 {
				return fmt.Errorf("%d workers have been about to be started for %s, perhaps by a hook before_start; try again", l.crew.Starting(), lastSaid)
			}
		}
	}
	return nil
}

// channels are the workers that have one.
func (l *loop) channels() iter.Seq[*crew.Worker] {
	return func(yield func(*crew.Worker) bool) {
		for m := range l.allMembers() {
			if m.Open() && !yield(m) {
				return
			}
		}
	}
}

// allMembers are the workers that there are, whether they can be reached or not.
func (l *loop) allMembers() iter.Seq[*crew.Worker] {
	return func(yield func(*crew.Worker) bool) {
		for _, a := range l.apps {
			for _, m := range a.Members {
				if !yield(m) {
					return
				}
			}
		}
	}
}

// giveAway stops everything that acts on the workers, and returns duplicates of what they
// are reached by. After an error takeBack comes.
func (l *loop) giveAway() (files map[string][]*os.File, err error) {
	files = map[string][]*os.File{}
	l.crew.SteerAll()
	l.estate.SaveAll()
	put := func(name string, f *os.File) error {
		d, err := ipc.Duplicate(f)
		if err == nil {
			files[name] = append(files[name], d)
		}
		return err
	}
	if err := put(succession.StateFile, l.estate.RecordFile()); err != nil {
		return files, err
	}
	for name, f := range l.values.Files() {
		if err := put(name, f); err != nil {
			return files, err
		}
	}
	if err := l.s.pins.Each(put); err != nil {
		return files, err
	}
	for _, a := range l.apps {
		if a.Ended() {
			continue
		}
		a.Sockets.Rest()
		for name, f := range a.Sockets.Files() {
			if name := succession.SocketsName(a.Sockets.Key, name); files[name] == nil {
				if err := put(name, f); err != nil {
					return files, err
				}
			}
		}
		giveSpareBoard(a.Sockets, files)
		for _, m := range a.Members {
			m.Subscribed = false
			given, err := m.Give()
			if given != nil {
				files[succession.WorkerName(m.App.Key, m.ID)] = given
			}
			if err != nil {
				return files, err
			}
		}
	}
	if err := l.quit(); err != nil {
		return files, err
	}
	l.estate.LeaveExits(files, time.Now().Add(lastOutput))
	l.s.server.Release()
	return files, nil
}

// giveSpareBoard adds the board that an earlier version wants for sockets without one. It goes along where descriptors
// allow; this version does without.
func giveSpareBoard(s *crew.Sockets, files map[string][]*os.File) {
	hotName, rowsName := listen.BoardNames()
	hotName, rowsName = succession.SocketsName(s.Key, hotName), succession.SocketsName(s.Key, rowsName)
	if files[hotName] != nil {
		return
	}
	board := s.Spare()
	if board == nil {
		return
	}
	defer board.Close()
	if hot, rows, err := board.Share(); err == nil {
		files[hotName], files[rowsName] = []*os.File{hot}, []*os.File{rows}
	}
}

// quit leaves the processes of the workers that were given away.
func (l *loop) quit() error {
	late := time.After(lastOutput)
	var leaving []<-chan struct{}
	for m := range l.allMembers() {
		if done := m.Quit(); done != nil {
			leaving = append(leaving, done)
		}
	}
	for _, done := range leaving {
		select {
		case <-done:
		case <-late:
			return fmt.Errorf("the log has not taken for %s what the workers have printed", lastOutput)
		}
	}
	return nil
}

// takeBack is what adoption is, in the process that has let go, or was about to.
func (l *loop) takeBack() {
	l.s.server.Reclaim()
	l.estate.TakeBackRecord()
	l.values.Rewrite() // before a worker has them
	if l.state.Ready() && !l.report.Reloading() {
		l.tellReady() // the keeper may think that this master leaves for one that has come to that, and crashed
	}

	until := time.Now().Add(lastOutput) // for all workers together
	for _, a := range l.apps {
		if a.Ended() {
			continue
		}
		l.show(a) // its workers' processes are others
		a.Sockets.SteerAgain()
		if !a.Sockets.Watched() {
			l.crew.WatchAgain(a)
		}
		for _, m := range a.Members {
			l.takeBackWorker(m, until)
		}
	}
}

func (l *loop) takeBackWorker(m *crew.Worker, until time.Time) {
	m.Unjudged = nil
	again, err := m.Reclaim(until, func(pid int) handle.ExitOf { return l.s.exitOf(pid) })
	if err != nil {
		l.worker(l.logs.Error(), m).Err(err).Msg("cannot have the worker back after an upgrade that failed; another one takes its place")
	}
	m.DropChannel("the upgrade has failed") // hearOut has ended it, also where nothing was given away
	if m.Renew() {                          // else its exit is on the way
		m.Adopted, m.Greeting = true, false
		l.welcome(m)
		if !again {
			m.Hear()
		}
	}
	if again {
		l.s.wg.Go(m.Follow())
	}
}

// leaveSockets is the end of a master that another one follows.
func (l *loop) leaveSockets() {
	for s := range l.allSockets() {
		s.Leave()
	}
}

// upgradeEnded is for the log.
type upgradeEnded struct {
	binary string
	took   time.Duration
	err    error
}

func (u upgradeEnded) apply(l *loop) {
	if u.err == nil {
		return
	}
	l.event(nil, zerolog.ErrorLevel, control.Event{Kind: control.EventUpgradeFailed, Reason: u.err.Error(), Message: "upgrade failed, everything runs on as it was"})
	l.logs.Error().Err(u.err).Float64("took_ms", api.Milliseconds(u.took)).Msg("upgrade failed, everything runs on as it was")
}
