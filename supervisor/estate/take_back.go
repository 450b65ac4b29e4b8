package estate

import (
	"time"

	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/succession"
	"github.com/tinehq/tine/supervisor/talk"
)

// takeBack is what adoption is, in the process that has let go, or was about to.
func (e *Estate) takeBack() {
	e.server.Reclaim()
	e.StoreFailed(succession.StateFile, e.ledger.reopen()) // which may tell of exits that were the other master's to judge
	e.values.Rewrite()                                     // before a worker has them
	e.loop.TakenBack()                                     // the keeper may think that this master leaves for one that has come to that, and crashed

	until := time.Now().Add(lastOutput) // for all workers together
	for _, a := range e.loop.Apps() {
		if a.Ended() {
			continue
		}
		e.loop.Show(a) // its workers' processes are others
		a.Sockets.SteerAgain()
		if !a.Sockets.Watched() {
			e.crew.WatchAgain(a)
		}
		for _, m := range a.Members {
			e.takeBackWorker(m, until)
		}
	}
}

func (e *Estate) takeBackWorker(m *crew.Worker, until time.Time) {
	m.Unjudged = nil
	again, err := m.Reclaim(until, e.exitOf)
	if err != nil {
		line(e.logs.Error(), m).Err(err).Msg("cannot have the worker back after an upgrade that failed; another one takes its place")
	}
	m.DropChannel("the upgrade has failed") // hearOut has ended it, also where nothing was given away
	if m.Renew() {                          // else its exit is on the way
		m.Adopted = true
		m.Talk.Step(talk.ChannelRenewed)
		e.crew.Welcome(m)
		if !again {
			m.Hear()
		}
	}
	if again {
		e.loop.Go(m.Follow())
	}
}
