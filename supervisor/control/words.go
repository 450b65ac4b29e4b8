package control

import "github.com/tinehq/tine/supervisor/control/api"

// The words of the control API are those of package api.
type (
	Status         = api.Status
	Succession     = api.Succession
	ReplacedWorker = api.ReplacedWorker
	App            = api.App
	Release        = api.Release
	Unreachable    = api.Unreachable
	Rollout        = api.Rollout
	Worker         = api.Worker
	CacheStatus    = api.CacheStatus
	CacheValue     = api.CacheValue
	Event          = api.Event
	LogLine        = api.LogLine
	LogQuery       = api.LogQuery
	Order          = api.Order
	Progress       = api.Progress
	ApplyRequest   = api.ApplyRequest
	ApplyResult    = api.ApplyResult
	Change         = api.Change
	Commander      = api.Commander
	Refusal        = api.Refusal
)

// The states of an app.
const (
	AppRunning  = api.AppRunning
	AppStopping = api.AppStopping
	AppStopped  = api.AppStopped
	AppFinished = api.AppFinished
	AppGaveUp   = api.AppGaveUp
	AppWaiting  = api.AppWaiting
)

// The states of a rollout.
const (
	RolloutRunning = api.RolloutRunning
	RolloutAborted = api.RolloutAborted
)

// Kinds of events that are not among the words of the pool's records.
const (
	EventValueSet        = api.EventValueSet
	EventValueDeleted    = api.EventValueDeleted
	EventValueFailed     = api.EventValueFailed
	EventConfigApplied   = api.EventConfigApplied
	EventConfigRefused   = api.EventConfigRefused
	EventConfigUnapplied = api.EventConfigUnapplied
	EventAppEnded        = api.EventAppEnded
	EventSteeringFell    = api.EventSteeringFell
	EventMended          = api.EventMended
	EventStopping        = api.EventStopping
	EventSignalled       = api.EventSignalled
	EventNotKept         = api.EventNotKept
	EventKept            = api.EventKept
	EventKeeperEnded     = api.EventKeeperEnded
	EventUpgraded        = api.EventUpgraded
	EventUpgradeFailed   = api.EventUpgradeFailed
	EventUnreachable     = api.EventUnreachable
	EventReachable       = api.EventReachable
	EventMissed          = api.EventMissed
)

// The streams of a LogLine.
const (
	StreamStdout = api.StreamStdout
	StreamStderr = api.StreamStderr
	StreamMaster = api.StreamMaster
	StreamHook   = api.StreamHook
)

// The verbs of an Order.
const (
	VerbStart    = api.VerbStart
	VerbStop     = api.VerbStop
	VerbRestart  = api.VerbRestart
	VerbReload   = api.VerbReload
	VerbRollback = api.VerbRollback
	VerbScale    = api.VerbScale
	VerbDrain    = api.VerbDrain
	VerbSignal   = api.VerbSignal
	VerbShutdown = api.VerbShutdown
	VerbUpgrade  = api.VerbUpgrade
)

// What an order does while another one of its kind is under way.
const (
	IfRunningQueue  = api.IfRunningQueue
	IfRunningRefuse = api.IfRunningRefuse
)

// The effects of a Change.
const (
	EffectAtOnce  = api.EffectAtOnce
	EffectRollout = api.EffectRollout
	EffectRestart = api.EffectRestart
	EffectStart   = api.EffectStart
	EffectStop    = api.EffectStop
)

// SteeringNone is the kind of steering of an app without an address: no connection comes.
const SteeringNone = api.SteeringNone

// ErrCut is what a Commander returns for an order that was begun and whose end it cannot tell.
var ErrCut = api.ErrCut

// Ending is the answer of a master that has begun nothing because it is ending.
func Ending() *Refusal { return api.Ending() }

// Refuse makes a Refusal whose title is that of the status.
func Refuse(status int, format string, args ...any) *Refusal {
	return api.Refuse(status, format, args...)
}

// Unknown makes the Refusal for a name that is not there.
func Unknown(what, name string, known []string) *Refusal { return api.Unknown(what, name, known) }

// Nearest returns the known word that was probably meant by word, or "".
func Nearest(word string, known []string) string { return api.Nearest(word, known) }
