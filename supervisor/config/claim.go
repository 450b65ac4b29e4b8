package config

import (
	"errors"
	"fmt"
	"slices"

	"github.com/tinehq/tine/supervisor/listen"
)

// claim is the place that a listening address takes, so that two that collide are found before any is opened.
type claim struct {
	listen.Place
	address listen.Address
	text    string // as the config has it
	who     string // the owner, for messages: "app web", "the dashboard"
}

// parseClaim reads an address as [listen.Parse] does. The user and group of a socket must exist. Host names are not looked
// up: whether a config is valid must not depend on a name server.
func parseClaim(text string) (claim, error) {
	a, err := listen.Parse(text)
	if unknown := (*listen.UnknownOptionError)(nil); errors.As(err, &unknown) {
		if s := Suggest(unknown.Option, unknown.Known); s != "" {
			return claim{}, fmt.Errorf("%w; did you mean %s?", err, s)
		}
	}
	if err == nil {
		err = a.CheckOwner()
	}
	if err != nil {
		return claim{}, err
	}
	return claim{Place: a.Place(), address: a, text: text}, nil
}

// Places says where addresses lead, by the text of the address, so that two texts of one address can be told to be the same.
// Read-only once it is made.
type Places map[string]destination

type destination struct {
	listen.Place
	options listen.Address // what else an address says: the mode and owner of a socket
}

// PlacesOf looks up the addresses of all apps of c, and more addresses. It may wait for a disk (the folders of Unix sockets),
// so the loop does not call it. Addresses that cannot be parsed are left out.
func PlacesOf(c *Config, more []string) Places {
	all := Places{}
	for _, a := range c.Apps {
		more = append(more, a.Listen...)
	}
	for _, text := range more {
		if a, err := listen.Parse(text); err == nil {
			all[text] = destination{a.Place(), listen.Address{Mode: a.Mode, User: a.User, Group: a.Group}}
		}
	}
	return all
}

// Same reports whether two lists have the same addresses in the same order, however each is written. An address that is not in
// p is the same only as an equal text.
func (p Places) Same(a, b []string) bool {
	return slices.EqualFunc(a, b, func(a, b string) bool {
		one, ok := p[a]
		return a == b || ok && one == p[b]
	})
}
