package listen

// Capability is something that this process can do on this machine, or not.
type Capability struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`          // what was found
	Needs  string `json:"needs,omitempty"` // what would make it OK
}

// Probe finds out what steering and the like this process can have, with its user and its capabilities, by doing each
// thing once. The kinds of steering come first, best first. It takes some ms, less than 200, and leaves nothing behind.
func Probe() []Capability { return probe() }
