package master

import (
	"github.com/tinehq/tine/supervisor/serve"
	"os"
	"slices"
	"strings"

	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/launch"
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

// activation is the sockets that this process was given.
type activation struct {
	sockets []*listen.Given
	alone   string // the app that serves all of them; empty: each has its address
}

// isOwn says whether a file of this name was stored by a master before this one.
func isOwn(name string) bool {
	return name == succession.StateFile || name == serve.KeptControl || name == "values" || slices.ContainsFunc([]string{succession.WorkerPrefix, succession.SocketsPrefix, serve.KeptTCP, launch.KeptPin, "value."}, func(p string) bool {
		return strings.HasPrefix(name, p)
	})
}

// activate takes the sockets out of what this process was started with. What is none, and not a master's own, is closed and
// said.
func (l *loop) activate(c *config.Config) {
	l.given = &activation{}
	names := []string{}
	for name := range l.s.inherited {
		if !isOwn(name) {
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
			l.given.sockets = append(l.given.sockets, g)
			l.s.server.Handover.Give(name, g.File())
			if !l.given.wanted(g, c) {
				l.logs.Warn().Str("name", name).Str("listen", g.Address().String()).Msg("no app listens on the address of a socket that tine was started with: nobody serves it")
			}
		}
		delete(l.s.inherited, name)
	}
	if len(c.Apps) == 1 && len(c.Apps[0].Listen) == 0 {
		l.given.alone = c.Apps[0].Name
	}
}

// wanted says whether some app of c serves the socket.
func (v *activation) wanted(g *listen.Given, c *config.Config) bool {
	for _, a := range c.Apps {
		if len(c.Apps) == 1 && len(a.Listen) == 0 {
			return true
		}
		addresses, err := a.Addresses()
		if err != nil || slices.ContainsFunc(addresses, g.Serves) {
			return true
		}
	}
	return false
}

// addresses are those of an app, and those of all sockets if it serves them.
func (v *activation) addresses(c config.App) ([]listen.Address, error) {
	all, err := c.Addresses()
	if err == nil && len(all) == 0 && c.Name == v.alone {
		for _, g := range v.sockets {
			all = append(all, g.Address())
		}
	}
	return all, err
}

// lend completes the files of sockets that are adopted: those that were given are kept under the name that
// their giver uses, and nothing is kept twice.
func (v *activation) lend(saved listen.Saved, files map[string]*os.File) {
	for i, a := range saved.Addresses {
		name := listen.SocketName(i, 0)
		if files[name] != nil || saved.Slots == 0 {
			continue
		}
		if n := slices.IndexFunc(v.sockets, func(g *listen.Given) bool { return g.Serves(a.Address()) }); n >= 0 {
			files[name] = v.sockets[n].File()
		}
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
	for _, g := range l.given.sockets {
		g.Close()
	}
	for _, files := range l.s.inherited {
		for _, f := range files {
			f.Close()
		}
	}
}
