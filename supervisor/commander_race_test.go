//go:build race

package supervisor

// slowdown is what the race detector costs: times measured with it are no figures.
const slowdown = 20
