// Package talk is the state of the conversation of a master with one worker: what was said on its channel, how far the worker has come,
// and whether it has been given its slot. It decides which frames the worker may send now.
//
// A [State] has three parts, each of which is one named state:
//
//	Channel                      values sent                     Life         ready
//	  Silent ────────────────▶ Introduced                         Starting ────────────▶ Ready
//	    │ hello                    │ hello                          │ drains               │ drains
//	    ▼          values sent     ▼                                ▼          ready       ▼
//	  Hailed ────────────────▶ Talking                            Quitting ────────────▶ Draining
//	    ▲                          │ channel ended                  │ bye                  │ bye
//	    └──────────────────────────┘                                ▼          ready       ▼
//	  a renewed channel is Silent                                 LeftEarly ───────────▶ Left
//	                                                              exited, from all: Gone
//	Place
//	  Unplaced ──▶ Delayed ──▶ Placed
//
// The worker's hello and the master's values cross: either may be first. The hello outlasts its channel, as it tells a worker from a
// program that knows nothing of its channel.
//
// What a worker may send:
//
//	                        Silent    Introduced  Hailed        Talking
//	hello                   taken     taken       broken        broken
//	standing by             broken    broken      broken        taken; passed over with a slot
//	ready                   broken    broken      broken, or    taken; passed over if it was ready
//	                                              as Talking if adopted
//	all else that it sends  broken    broken      taken         taken
//	what a master sends     broken    broken      broken        broken
//
// Broken: the frame breaks the rules of the channel, which is ended.
//
// The package is pure: it waits for nothing, and asks no clock.
package talk
