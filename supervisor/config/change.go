package config

import (
	"maps"
	"slices"
)

// SteeredAs returns c with other's settings of steering: those hold from when the sockets were opened, so an app that runs
// keeps them until the master is started again.
func (c App) SteeredAs(other App) App {
	c.Policy, c.Steering, c.OnOverload, c.OverloadAt = other.Policy, other.Steering, other.OnOverload, other.OverloadAt
	return c
}

// StartedDifferently reports whether a and b differ in what a process is started with, so that a change from one to the other
// replaces the workers.
func StartedDifferently(a, b App) bool {
	return !slices.Equal(a.Command, b.Command) || a.Dir != b.Dir || !maps.Equal(a.Env, b.Env) ||
		!slices.Equal(a.EnvFiles, b.EnvFiles) || a.GOMAXPROCS != b.GOMAXPROCS || a.GOMEMLIMIT != b.GOMEMLIMIT || a.CPUAffinity != b.CPUAffinity ||
		!a.edge().Same(b.edge())
}
