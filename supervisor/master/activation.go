package master

import (
	"os"
	"slices"
	"strings"

	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/estate"
	"github.com/tinehq/tine/supervisor/listen"
	"github.com/tinehq/tine/supervisor/succession"
)

// WithInherited gives the supervisor the files that this process was started with, by name, as keeper.Inherited returns
// them, where WithStore does not do so. They are its own then, and closed by it. A listening socket among them, as systemd passes it for socket activation,
// is served by the app that listens on its address; if there is one app only and that has no address, it serves all of them.
// Its name does not matter. See package listen, under Given, for how workers share such a socket.
func WithInherited(files map[string][]*os.File) Option {
	return func(o *options) { o.inherited = files }
}

// activate takes the sockets out of what this process was started with. What is none, and not a master's own, is closed and
// said.
func (l *loop) activate(c *config.Config) {
	l.given = &crew.Given{}
	names := []string{}
	for name := range l.s.inherited {
		if !estate.IsOwn(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		for _, f := range l.s.inherited[name] {
			g, err := listen.TakeGiven(f)
			if err != nil {
				l.logs.Warn().Str("name", name).Err(err).Msg("a descriptor that tine was started with is not used")
				f.Close()
				continue
			}
			l.given.Sockets = append(l.given.Sockets, g)
			l.s.server.Handover.Give(name, g.File())
			if !l.given.Wanted(g, c) {
				l.logs.Warn().Str("name", name).Str("listen", g.Address().String()).Msg("no app listens on the address of a socket that tine was started with: nobody serves it")
			}
		}
		delete(l.s.inherited, name)
	}
	if len(c.Apps) == 1 && len(c.Apps[0].Listen) == 0 {
		l.given.Alone = c.Apps[0].Name
	}
}

// closeAdopted closes the inherited files of the sockets, which have duplicates of their own once they are adopted: as long
// as any stays open, the kernel goes on to give connections to a slot that was retired.
func (l *loop) closeAdopted() {
	for name, files := range l.s.inherited {
		if !strings.HasPrefix(name, succession.SocketsPrefix) {
			continue
		}
		for _, f := range files {
			f.Close()
		}
		delete(l.s.inherited, name)
	}
}

// closeInherited closes what this process was started with. Whoever has given it goes on holding it.
func (l *loop) closeInherited() {
	for _, g := range l.given.Sockets {
		g.Close()
	}
	for _, files := range l.s.inherited {
		for _, f := range files {
			f.Close()
		}
	}
}
