package supervisor

import (
	"slices"
	"strconv"
	"strings"
)

// What a worker finds in its environment of itself. It is a convenience for programs
// that read no channel: a worker that uses package worker asks that. A standby finds no
// slot there, for it has none yet.
const (
	envApp        = "TINE_APP"
	envGeneration = "TINE_GENERATION"
	envSlot       = "TINE_SLOT"
	// envInstance is what PM2 calls the slot.
	envInstance = "NODE_APP_INSTANCE"
)

// ownEnv is a worker's part of its environment.
func (m *member) ownEnv() []string {
	env := []string{envApp + "=" + m.app.name, envGeneration + "=" + strconv.Itoa(m.generation)}
	if m.slot >= 0 {
		slot := strconv.Itoa(m.slot)
		env = append(env, envSlot+"="+slot, envInstance+"="+slot)
	}
	return env
}

// withoutOwn removes what only Tine may set: a program that finds a variable twice may
// take either.
func withoutOwn(env []string) []string {
	return slices.DeleteFunc(env, func(kv string) bool {
		key, _, _ := strings.Cut(kv, "=")
		switch key {
		case envApp, envGeneration, envSlot, envInstance:
			return true
		}
		return false
	})
}
