// Package top is the live view of one master: tine top.
//
// model is a bubbletea model and the one owner of the state. Only its Update changes it, on one goroutine. What it asks
// the master runs in commands, and comes back as messages, so that a slow master never stops the keys. Streams (the log,
// the events, the steps of an order) pass through a feed, which holds the newest items and hands them over in batches.
//
//	watch.go     Watch: the program around the model; Master: what it asks
//	model.go     the model: messages in, commands out
//	keys.go      keys and questions; nothing is changed without one
//	feed.go      feed: a bounded queue between a stream and the model; counts what it loses
//	gateways.go  what gateways tell of their members, and the view of it
//	rates.go     rates: numbers a second, from the counters of two status documents
//	rows.go      row: one line of the list, an app or a worker; which row stays chosen
//	view.go      the screen: as many lines as the terminal has, none wider than it
//	table.go     the list of apps and workers in it
//
// The master is asked once a second, and only while this runs. After an order the status is asked for at once. A status
// that takes more than 3 s is given up. A stream that fails is asked for again after 2 s.
package top
