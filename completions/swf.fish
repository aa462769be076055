# Completion of swf in fish.

function __swf_complete
    for line in (_SWF_COMPLETE=fish swf (commandline -opc)[2..-1] (commandline -ct) 2> /dev/null)
        set -l fields (string split --max 1 \t -- $line)
        if test $fields[1] = path
            set -l option (string match --regex -- '^--[^=]*=' (commandline -ct))
            for path in (__fish_complete_path (string replace --regex -- '^--[^=]*=' '' (commandline -ct)))
                printf '%s\n' "$option$path"
            end
        else
            printf '%s\n' $fields[2]
        end
    end
end

complete --command swf --no-files --keep-order --arguments '(__swf_complete)'
