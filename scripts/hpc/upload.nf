// A Nextflow process that uploads a result with figup.
//
// --join: where a failed task still works, on a node that the scheduler has lost, the next one helps, and continues after it.
//
// The state directory is outside of Nextflow's work folders, so that a task that is run again continues. The source is
// passed by its own path: in a work folder it is a link with another path each time, which would be another job.

params.source = "$launchDir/results.h5"
params.item = '1234567'
params.state = "$launchDir/figup-state"

process upload {
    maxForks 1          // Figshare limits the requests of an account, not of a process
    time '4h'
    // Retried unless figup says that a person must act: also after the failure of a node, with or without an exit status.
    errorStrategy { task.exitStatus in [1, 2, 3, 4, 5, 6, 7, 126, 127, 130] ? 'finish' : 'retry' }
    maxRetries 20

    input:
    val source

    output:
    path 'upload.json'

    script:
    """
    figup upload --deadline 3h50min --join "$source" --item $params.item --state-dir "$params.state" --report upload.json
    """
}

workflow {
    upload(channel.of(params.source))
}
