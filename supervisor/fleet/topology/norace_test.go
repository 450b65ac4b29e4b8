//go:build !race

package topology

const withRace = false
