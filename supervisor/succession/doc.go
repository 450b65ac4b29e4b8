// Package succession has what outlives a master: the record of what it knew, and the files that go with it.
//
//	            Vault ─── files by name ───▶ ┌────────────────────┐ ─── inherited ───▶
//	master                                   │ keeper, or systemd │                     the next master
//	            State, Patch ── record ────▶ └────────────────────┘ ─── Read ────────▶
//
// A master may end at any instruction: the one that comes next goes on from what is there. What is there:
//
//	what                     where                        outlives a crash   an upgrade   told by
//	which apps run, and how  record (file "state")        yes                yes          App
//	apps that have ended     record                       yes                yes          Ended
//	the config that runs     record                       yes                yes          Config
//	a stop that has begun    record                       yes                yes          State.Stop
//	counters and histograms  record: the whole, not each  up to two seconds  yes          History
//	                         patch                        of them are lost
//	workers                  themselves; files worker.*   yes                yes          Member, pool.Saved
//	sockets and their queue  files sockets.*              yes                yes          Sockets
//	programs of releases     files pin.*                  yes                yes          Generation
//	cached values            files values, value.*        yes                yes          package cache
//	health, metrics          files tcp.*                  yes                yes          themselves
//	the control socket       file control                 no                 yes          itself
//	orders under way         nowhere                      no                 no
//
// # The record
//
// The record (package record) is a whole and patches. The whole is a State as JSON. A Patch is a State with only what is new or
// another than before, and parts: what has changed in single slots of an app. A patch is written before the orders of each
// step, so that no worker exists that the record does not know of; the whole at the latest two seconds after the first patch,
// and before another master takes over.
//
// Versions before this one know less: some only the whole, some patches without parts. They ignore what they do not know, and
// find each app as it was at most two seconds ago. Fields are added, never changed.
package succession
