package master

import (
	"strconv"

	"github.com/tinehq/tine/supervisor/config"
)

// ownEnv is a worker's part of its environment.
func (m *member) ownEnv() []string {
	env := []string{config.EnvApp + "=" + m.app.name, config.EnvGeneration + "=" + strconv.Itoa(m.generation)}
	if m.slot >= 0 {
		slot := strconv.Itoa(m.slot)
		env = append(env, config.EnvSlot+"="+slot, config.EnvInstance+"="+slot)
	}
	return env
}
