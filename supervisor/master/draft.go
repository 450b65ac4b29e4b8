package master

import (
	"github.com/rs/zerolog"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/control/api"
)

// draftFound is what a master finds that goes on with what another one ran with.
type draftFound struct {
	text string
	err  error
}

func (f draftFound) apply(l *loop) {
	if f.err != nil {
		l.plans.Refuse(f.err)
		return
	}
	l.event(nil, zerolog.WarnLevel, api.Event{Kind: api.EventConfigUnapplied, Reason: f.text, Message: f.text})
	l.logs.Warn().Msg(f.text)
}

// lookForDraft says whether the config on disk is another one than that which this master goes on with. It is never applied unasked.
func (l *loop) lookForDraft(running *config.Config) {
	if running.Path() == "" {
		return
	}
	s := l.s
	go func() { // not waited for: a disk may hang
		if text, err := s.server.Draft(running); text != "" {
			s.post(draftFound{text, err})
		}
	}()
}
