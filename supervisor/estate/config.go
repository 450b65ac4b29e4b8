package estate

import (
	"encoding/json"

	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/succession"
)

// savedConfig is made anew when another config is applied, not at each step.
func (e *Estate) savedConfig() json.RawMessage {
	if e.kept.configOf != e.loop.Config() {
		e.KeepConfig(e.loop.Config())
	}
	return e.kept.config
}

// KeepConfig has c saved until another one is applied: after an adoption what the last master
// ran with, where the loop's config is only what was found running.
func (e *Estate) KeepConfig(c *config.Config) {
	e.kept.configOf, e.kept.config = e.loop.Config(), encode(c, e.started)
}

// encode is what the record has of a config. What takes effect only when a master is started stays what it was then.
func encode(c, started *config.Config) json.RawMessage {
	kept := *c
	kept.Name, kept.Control, kept.Dashboard, kept.Metrics, kept.Health = started.Name, started.Control, started.Dashboard, started.Metrics, started.Health
	kept.StopDelay, kept.StopTimeout, kept.Log = started.StopDelay, started.StopTimeout, started.Log
	kept.Log.Level = c.Log.Level
	return succession.EncodeConfig(kept)
}
