package plan

import (
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/host"
	"github.com/tinehq/tine/supervisor/launch"
)

// plan is what a new config changes.
type plan struct {
	asked     *config.Config // as it came
	goesOn    bool           // it is what the last master ran with, or was applying, and no caller has asked for it anew
	config    *config.Config // with its defaults
	apps      []config.App   // those of config, when it is carried out, with what stays of those that run
	newcomers []config.App   // to open
	leaving   []predecessor
	given     *crew.Given
	pins      *launch.Pins
	added     []*crew.App   // the newcomers that are open
	auto      int           // workers of an app whose config leaves their number to the machine
	places    config.Places // of all addresses, old and new; known once it is open
}

// predecessor is an app that goes because of the same config, or is going already, and the addresses that it has.
type predecessor struct {
	app    *crew.App
	listen []string
}

// The last master has the sockets of apps that waited for others until its process has ended, which it may be about to.
const (
	// letGoTime bounds how long a config that goes on waits for the addresses in it.
	letGoTime = 10 * time.Second
	// letGoPace is the time between two attempts.
	letGoPace = 100 * time.Millisecond
)

// prepare opens the newcomers. running are the addresses of the apps that run. It may wait, and gives up what it waits for when over is
// closed.
func (p *plan) prepare(running []string, over <-chan struct{}) error {
	p.places, p.auto = config.PlacesOf(p.config, running), host.AutoWorkers()
	err := p.open()
	for until := time.Now().Add(letGoTime); p.goesOn && errors.Is(err, syscall.EADDRINUSE) && time.Now().Before(until); {
		select {
		case <-time.After(letGoPace):
			err = p.open()
		case <-over:
			return err
		}
	}
	return err
}

func (p *plan) open() error {
	for _, n := range p.newcomers {
		a, err := crew.Open(n, p.predecessor(n), p.given, p.pins)
		if err != nil {
			p.close()
			return err
		}
		p.added = append(p.added, a)
	}
	return nil
}

// predecessor is the app on the very addresses of a new one, whatever they are written like.
func (p *plan) predecessor(config config.App) *crew.App {
	for _, old := range p.leaving {
		if len(config.Listen) > 0 && p.places.Same(old.listen, config.Listen) {
			return old.app
		}
	}
	return nil
}

// close gives back what was opened for a plan that is not carried out.
func (p *plan) close() {
	for _, a := range p.added {
		if a.Replaces == nil {
			a.Sockets.Close()
		}
	}
	p.added = nil
}

// endedError says that an app whose sockets another one was opened on has ended, and they with it.
type endedError struct{ app string }

func (e *endedError) Error() string {
	return fmt.Sprintf("app %s has ended meanwhile and its addresses are closed: apply the configuration again", e.app)
}

// ended says whether an app has ended meanwhile that a newcomer was opened on the sockets of.
func (p *plan) ended() error {
	for _, a := range p.added {
		if a.Replaces != nil && a.Replaces.Ended() {
			return &endedError{a.Replaces.Name}
		}
	}
	return nil
}

// app is the config of the app of that name; nil: there is none.
func (p *plan) app(name string) *config.App {
	i := slices.IndexFunc(p.apps, func(c config.App) bool { return c.Name == name })
	if i < 0 {
		return nil
	}
	return &p.apps[i]
}
