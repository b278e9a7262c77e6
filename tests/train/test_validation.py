from derain.train.validation import short_names


def test_folders_are_named_by_as_much_of_their_ends_as_tells_them_apart():
    assert short_names(["/data/rain100L", "/data/rain100H"]) == ["rain100L", "rain100H"]
    assert short_names(["/data/Rain200H/test", "/data/Rain200L/test"]) == ["Rain200H/test", "Rain200L/test"]
    assert short_names(["/data/a/test", "/data/a/test"]) == ["test", "test"]
    assert short_names([]) == []
