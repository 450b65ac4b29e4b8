package estate

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/listen"
	"github.com/tinehq/tine/supervisor/succession"
	"github.com/tinehq/tine/supervisor/talk"
)

// ErrStopping is why a master that stops lets go of nothing.
var ErrStopping = errors.New("this master is stopping")

// LetGo has the loop give everything away to another master, and stand still until it is told how that ended: only one of the two
// may decide.
//
//	channels end ──▶ store has all ──▶ record is whole ──▶ processes are left ──▶ Answer ──▶ Result
//	                                                                                       │ nil: Left
//	                                              everything is taken back ◀────────────────┘ an error
type LetGo struct {
	Answer chan<- Letting // has room for one
	Result <-chan error   // nil: another master is in charge. It is read after an Answer without an error only
}

// Letting is what the other master needs, by name. The files are the Estate's, which closes them when it has the Result.
type Letting struct {
	Files map[string][]*os.File
	Err   error // then everything is as it was
}

func (m LetGo) Act(e *Estate) {
	if e.loop.Core().Stopping() {
		m.Answer <- Letting{Err: ErrStopping}
		return
	}
	e.loop.Ping()
	err := e.hearOut()
	if err == nil {
		err = e.Settle()
	}
	var files map[string][]*os.File
	if err == nil {
		files, err = e.giveAway()
	}
	m.Answer <- Letting{files, err}
	if err == nil {
		err = e.standStill(m.Result)
	}
	for _, fs := range files {
		closeFiles(fs)
	}
	if err != nil {
		e.takeBack()
		return
	}
	e.left = true
	for m := range e.workers() {
		m.Forget()
	}
}

// standStill waits for how the handover has ended, which the sender of LetGo bounds. systemd's watchdog may be shorter than that wait,
// so the loop goes on to give signs of life.
func (e *Estate) standStill(result <-chan error) error {
	every := e.loop.Ping()
	if every <= 0 {
		return <-result
	}
	again := time.NewTicker(every)
	defer again.Stop()
	for {
		select {
		case err := <-result:
			return err
		case <-again.C:
			e.loop.Ping()
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
// the values and the orders that hold. It fails while a worker is being started, of which
// the next master would not know.
func (e *Estate) hearOut() error {
	var ending []*crew.Worker
	until := time.Now().Add(lastSaid) // for all of them together
	for m := range e.workers() {
		if m.Open() {
			m.HearOut(time.Until(until), m.Talk.Hello())
			ending = append(ending, m)
		}
	}
	late := time.NewTimer(lastSaid)
	defer late.Stop()
	for e.crew.Starting() > 0 || slices.ContainsFunc(ending, func(m *crew.Worker) bool { return m.Hearing() }) {
		if e.loop.ActUntil(late.C) {
			continue
		}
		for _, m := range ending {
			m.StopHearing()
		}
		if n := e.crew.Starting(); n > 0 {
			return e.startsLong(n)
		}
	}
	return nil
}

// startsLong says why an upgrade does not go on while n workers are being started.
func (e *Estate) startsLong(n int) error {
	if waiting := int(e.waiting.Load()); waiting > 0 {
		return fmt.Errorf("%d workers have been about to be started for %s: the %s, which takes the files of %d of them, does not answer; see whether it is stopped, then try again",
			n, lastSaid, e.storeName(), waiting)
	}
	return fmt.Errorf("%d workers have been about to be started for %s, perhaps by a hook before_start; try again", n, lastSaid)
}

// giveAway stops everything that acts on the workers, and returns duplicates of what they
// are reached by. After an error takeBack comes.
func (e *Estate) giveAway() (files map[string][]*os.File, err error) {
	files = map[string][]*os.File{}
	e.crew.SteerAll()
	e.SaveAll()
	put := func(name string, f *os.File) error {
		d, err := ipc.Duplicate(f)
		if err == nil {
			files[name] = append(files[name], d)
		}
		return err
	}
	if err := put(succession.StateFile, e.ledger.file); err != nil {
		return files, err
	}
	for name, f := range e.values.Files() {
		if err := put(name, f); err != nil {
			return files, err
		}
	}
	if err := e.pins.Each(put); err != nil {
		return files, err
	}
	for _, a := range e.loop.Apps() {
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
			m.Talk.Step(talk.ChannelEnded)
			given, err := m.Give()
			if given != nil {
				files[succession.WorkerName(m.App.Key, m.ID)] = given
			}
			if err != nil {
				return files, err
			}
		}
	}
	if err := e.quit(); err != nil {
		return files, err
	}
	e.leaveExits(files, time.Now().Add(lastOutput))
	e.server.Release()
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
func (e *Estate) quit() error {
	late := time.After(lastOutput)
	var leaving []<-chan struct{}
	for m := range e.workers() {
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
