//go:build !race

package supervisor

const slowdown = 1
