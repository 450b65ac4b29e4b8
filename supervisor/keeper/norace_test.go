//go:build !race

package keeper

const withRace = false
