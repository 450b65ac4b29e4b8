package supervisor

import (
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/config/file"
)

// What a Supervisor runs is described with package config. A program that embeds Tine needs only these names of it.
type (
	Config       = config.Config
	App          = config.App
	Backoff      = config.Backoff
	CacheValue   = config.CacheValue
	SQL          = config.SQL
	Log          = config.Log
	AppLog       = config.AppLog
	Hooks        = config.Hooks
	Hook         = config.Hook
	Watch        = config.Watch
	Dashboard    = config.Dashboard
	Metrics      = config.Metrics
	Health       = config.Health
	ConfigErrors = config.Problems
	LoadOptions  = file.LoadOptions
)

// Words of a Config: see its fields.
const (
	ControlOff       = config.ControlOff
	PolicyCPU        = config.PolicyCPU
	PolicyClientIP   = config.PolicyClientIP
	PolicyHash       = config.PolicyHash
	PolicyLeast      = config.PolicyLeast
	PolicyRandom     = config.PolicyRandom
	PolicyRoundRobin = config.PolicyRoundRobin
	RestartAlways    = config.RestartAlways
	RestartNever     = config.RestartNever
	RestartOnFailure = config.RestartOnFailure
	RolloutStopFirst = config.RolloutStopFirst
	RolloutSurge     = config.RolloutSurge
	SteeringAuto     = config.SteeringAuto
	SteeringCBPF     = config.SteeringCBPF
	SteeringEBPF     = config.SteeringEBPF
	SteeringHash     = config.SteeringHash
	StopTimeoutOff   = config.StopTimeoutOff
)

// NewApp is an app with its defaults, to be changed before New: see [config.NewApp].
func NewApp(name string, command ...string) App { return config.NewApp(name, command...) }

// Load reads, checks and completes the config in the YAML file at path: see [file.Load].
func Load(path string) (*Config, error) { return file.Load(path) }

// Single is a config of one app that this program starts: see [config.Single].
func Single(name string, listen []string, workers int, command []string) *Config {
	return config.Single(name, listen, workers, command)
}
