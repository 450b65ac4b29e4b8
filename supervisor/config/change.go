package config

import (
	"maps"
	"slices"
)

// SteeredAs is c with what another config says of steering, which is decided when
// the sockets are opened.
func (c App) SteeredAs(other App) App {
	c.Policy, c.Steering, c.OnOverload, c.OverloadAt = other.Policy, other.Steering, other.OnOverload, other.OverloadAt
	return c
}

// StartedDifferently says whether a worker of b is another process than one of a.
func StartedDifferently(a, b App) bool {
	return !slices.Equal(a.Command, b.Command) || a.Dir != b.Dir || !maps.Equal(a.Env, b.Env) ||
		!slices.Equal(a.EnvFiles, b.EnvFiles) || a.GOMAXPROCS != b.GOMAXPROCS || a.GOMEMLIMIT != b.GOMEMLIMIT || a.CPUAffinity != b.CPUAffinity
}

// Has says whether c has an app of that name.
func (c *Config) Has(name string) bool {
	return slices.ContainsFunc(c.Apps, func(a App) bool { return a.Name == name })
}
