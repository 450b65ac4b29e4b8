package config

import (
	"errors"
	"fmt"
	"slices"

	"github.com/tinehq/tine/supervisor/listen"
)

// claim is what a listening address takes for itself, so that two that collide are found before any is opened.
type claim struct {
	listen.Place
	address listen.Address
	text    string // as the config has it
	who     string // takes it: "app web", "the dashboard"
}

// parseClaim reads an address as [listen.Parse] does. The user and group of a socket have to exist. Host names are not
// looked up: a config is not more or less valid for what a name server says.
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

// Places are where addresses lead to, by their text. They are looked up beside the loop, as that may wait for a disk.
type Places map[string]destination

type destination struct {
	listen.Place
	options listen.Address // what else an address says: the mode and owner of a socket
}

// PlacesOf are those of all apps of a config, and of further addresses.
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

// Same says whether two lists are of the same addresses in the same order, whatever they are written like.
func (p Places) Same(a, b []string) bool {
	return slices.EqualFunc(a, b, func(a, b string) bool {
		one, ok := p[a]
		return a == b || ok && one == p[b]
	})
}
