package api

// MemberDrain is what a person wants of a member of a gateway: no request is sent to it any more, and those that it has are finished. It
// holds until it is undone or the master ends, also for a member that is not there now.
type MemberDrain struct {
	Gateway string // its app
	Member  string // its ID
	Reason  string // in words; it is shown as why the member drains
	Undo    bool   // requests are sent to it again
}
