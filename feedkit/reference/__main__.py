from feedkit.reference import main

main()
