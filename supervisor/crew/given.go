package crew

import (
	"os"
	"slices"

	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/listen"
)

// Given is the sockets that this process was given.
type Given struct {
	Sockets []*listen.Given
	Alone   string // the app that serves all of them; empty: each has its address
}

// Wanted says whether some app of c serves the socket.
func (v *Given) Wanted(g *listen.Given, c *config.Config) bool {
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

// Addresses are those of an app, and those of all sockets if it serves them.
func (v *Given) Addresses(c config.App) ([]listen.Address, error) {
	all, err := c.Addresses()
	if err == nil && len(all) == 0 && c.Name == v.Alone {
		for _, g := range v.Sockets {
			all = append(all, g.Address())
		}
	}
	return all, err
}

// Lend completes the files of sockets that are adopted: those that were given are kept under the name that
// their giver uses, and nothing is kept twice.
func (v *Given) Lend(saved listen.Saved, files map[string]*os.File) {
	for i, a := range saved.Addresses {
		name := listen.SocketName(i, 0)
		if files[name] != nil || saved.Slots == 0 {
			continue
		}
		if n := slices.IndexFunc(v.Sockets, func(g *listen.Given) bool { return g.Serves(a.Address()) }); n >= 0 {
			files[name] = v.Sockets[n].File()
		}
	}
}
